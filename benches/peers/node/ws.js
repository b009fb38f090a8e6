// A chat server on ws, as its README's broadcast example does it, with rooms.
import { WebSocket, WebSocketServer } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, clientTracking: false });

server.on("connection", (ws, request) => {
  if (!rooms.has(request.url)) rooms.set(request.url, new Set());
  const room = rooms.get(request.url).add(ws);
  ws.on("error", () => {});
  ws.on("message", (data, isBinary) => {
    for (const client of room) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
  ws.on("close", () => room.delete(ws));
});
server.on("listening", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
