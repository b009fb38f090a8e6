// A chat server on Bun, as its documentation's pub/sub example does it.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    if (server.upgrade(request, { data: { room } })) return;
    return new Response("a WebSocket is needed", { status: 426 });
  },
  websocket: {
    sendPings: false,
    open(ws) {
      ws.subscribe(ws.data.room);
    },
    message(ws, message) {
      server.publish(ws.data.room, message);
    },
    close(ws) {
      ws.unsubscribe(ws.data.room);
    },
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
