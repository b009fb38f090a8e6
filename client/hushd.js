// A client of one chat room. It keeps the connection open and resends what was not acknowledged, as docs/protocol.md describes.
// `client/assemble` puts this file into client.html.

const PING_INTERVAL = 30_000; // ms of silence after which the client sends a ping
const RESPONSE_TIMEOUT = 10_000; // ms within which the server must greet, answer or acknowledge
const now = () => Date.now();

/** Connects to the room at `url` (`ws://host/tea`) and reconnects until `close()`. */
export function connect(url, options = {}) {
  const { protocols = ['chat.v1', 'chat'], slot = 500, cap = 30_000 } = options;
  const Socket = options.WebSocket ?? WebSocket;
  const listeners = {};
  const pending = new Map(); // id -> message not acknowledged yet, oldest first
  let { name: wantedName, session, since } = options;
  let [epoch, seq] = since?.split('.') ?? [];
  let socket, timer;
  let reconnectRange; // of the wait in ms, if the server named one
  let renameSettled = true; // false while a request for a name has no answer
  let announcedName; // set by `rename()`: our name as the room last announced it
  let replayDone = false; // from then on a message that we send cannot be part of the replay
  let attempts = 0, maxMessage = Infinity, pingInterval = PING_INTERVAL;
  let receivedAt = 0; // the time of the last frame from the server
  let awaitingSince = 0; // the time of the first frame that the server has not reacted to, 0 if there is none

  const room = {
    state: 'connecting', // 'open', 'waiting' or 'closed'
    until: 0, // the time of the next attempt
    protocol: '', // 'chat.v1', or 'chat' or '' for plain texts
    name: '', // our name in this room
    member: 0, // our number in this room

    /** Calls `listener` for each event of this type. Returns a function that removes the listener. */
    on(type, listener) {
      const set = (listeners[type] ??= new Set()).add(listener);
      return () => set.delete(listener);
    },

    /** Sends `text` as soon as possible. The promise resolves when the room has published it. */
    send(text, id = crypto.getRandomValues(new Uint32Array(3)).join('-')) {
      return new Promise((resolve, reject) => {
        text = text.toWellFormed?.() ?? text; // replaces half a surrogate pair
        pending.set(id, { text, resolve, reject });
        transmit(id);
      });
    },

    /** Stops resending a pending message. The room may have published it. */
    cancel: (id) => settle(id, 'forgotten'),

    /** Sends any other frame. Returns false if there is no connection to send it on. */
    sendFrame(frame) {
      if (room.state !== 'open' || room.protocol !== 'chat.v1') return false;
      socket.send(JSON.stringify(frame));
      awaitingSince ||= now();
      checkAlive();
      return true;
    },

    /** Asks for a name as soon as possible; the event 'name' brings the answer. */
    rename(name) {
      wantedName = name;
      announcedName ||= room.name;
      renameSettled = false;
      room.sendFrame({ type: 'name', name });
    },

    /** Whether `text` is small enough for one message. */
    fits(text, id = '-'.repeat(32)) {
      const frame = JSON.stringify({ type: 'message', text, id });
      return new TextEncoder().encode(frame).length <= maxMessage;
    },

    /** Makes the next attempt now; on an open connection sends a ping. */
    reconnect() {
      if (room.state === 'waiting') openSocket();
      else room.sendFrame({ type: 'ping' });
    },

    /** Options with which another `connect` continues from here. */
    save: () => ({
      name: wantedName,
      session,
      since: epoch && `${epoch}.${seq}`,
      pending: [...pending].map(([id, { text }]) => ({ id, text })),
    }),

    /** Disconnects for good. Pending messages stay pending: see `save()`. */
    close() {
      closeSocket();
      globalThis.removeEventListener?.('online', room.reconnect);
      setState('closed');
    },
  };
  // The names of version 0.1.
  Object.assign(room, { forget: room.cancel, tell: room.sendFrame, nudge: room.reconnect });

  function openSocket() {
    closeSocket();
    awaitingSince = now();
    checkAlive();
    setState('connecting');
    if (room.state === 'closed') return; // a listener called close()
    try {
      const target = new URL(url);
      const saved = room.save();
      for (const key of ['name', 'since', 'session']) if (saved[key]) target.searchParams.set(key, saved[key]);
      socket = new Socket(target, protocols);
    } catch {
      return connectionLost(); // for example ws: on a page of https:
    }
    socket.onopen = () => {
      room.protocol = socket.protocol;
      if (room.protocol === 'chat.v1') return;
      clearTimeout(timer);
      onWelcome({});
    };
    socket.onmessage = ({ data }) => {
      onFrame(data);
      if (pending.size) awaitingSince ||= receivedAt; // a message of another member acknowledges none of ours
    };
    socket.onclose = connectionLost;
  }

  function closeSocket() {
    clearTimeout(timer);
    replayDone = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(); // can take minutes on a dead connection
    socket = null;
  }

  function connectionLost(event = {}) {
    closeSocket();
    if (event.code === 4001) return setState('closed', event);
    for (const [id, { sent }] of pending) if (sent && room.protocol !== 'chat.v1') settle(id, 'unknown');
    // Exponential backoff with full jitter, so that a crowd does not return at the same moment.
    const [least, most] = reconnectRange ?? [0, Math.min(cap, slot * 2 ** attempts++)];
    const wait = least + Math.random() * (most - least);
    reconnectRange = null;
    room.until = now() + wait;
    timer = setTimeout(openSocket, wait);
    setState('waiting', event);
  }

  function setState(state, { code, reason } = {}) {
    room.state = state;
    emit('state', { state, code, reason });
  }

  function emit(type, event) {
    for (const listener of listeners[type] ?? []) listener(event);
  }

  // Keepalive. A connection can die without a close: silence leads to a ping, and a ping without an answer to a new connection.
  function checkAlive() {
    clearTimeout(timer);
    const wait = (awaitingSince ? awaitingSince + RESPONSE_TIMEOUT : receivedAt + pingInterval) - now();
    if (wait > 0) timer = setTimeout(checkAlive, wait + 1);
    else if (awaitingSince) connectionLost({ reason: 'no answer' });
    else room.sendFrame({ type: 'ping' });
  }

  function transmit(id) {
    const message = pending.get(id);
    if (!message || !replayDone) return;
    const { text } = message;
    if (!room.fits(text, id)) return settle(id, 'too_large');
    message.sent = true;
    room.sendFrame({ type: 'message', text, id }) || socket.send(text);
  }

  // Ends a pending message: its promise rejects if there is an error code, and resolves otherwise.
  function settle(id, code, reason = code) {
    const message = pending.get(id);
    pending.delete(id);
    if (code) message?.reject(Object.assign(new Error(reason), { code }));
    else message?.resolve(id);
  }

  function transmitPending() {
    replayDone = room.state === 'open'; // a listener may have called close()
    for (const id of pending.keys()) transmit(id);
  }

  function onWelcome(frame) {
    if (frame.epoch !== epoch) seq = 0;
    ({ epoch, session } = frame);
    room.name = frame.name ?? room.name;
    room.member = frame.member;
    maxMessage = frame.max_message ?? Infinity;
    pingInterval = frame.ping || PING_INTERVAL;
    setState('open');
    emit('welcome', frame);
    announcedName &&= room.name;
    if (!renameSettled) room.rename(wantedName);
    // The pong comes after the replay, and the replay may contain messages that are still pending here.
    if (!pending.size || !room.sendFrame({ type: 'ping' })) transmitPending();
  }

  function onFrame(data) {
    receivedAt = now();
    awaitingSince = 0;
    if (room.protocol !== 'chat.v1') return onPlainText(data);
    const frame = JSON.parse(data);
    const { type, id } = frame;
    const markOwn = (message) => (message.own = message.member === room.member || pending.has(message.id));
    if (type === 'welcome') return onWelcome(frame);
    attempts = 0;
    if (type === 'message') {
      if (frame.seq <= seq) return; // deduplicates replay and live messages
      seq = frame.seq;
      if (markOwn(frame)) setName(frame.from);
    }
    if (type === 'history') frame.messages.forEach(markOwn);
    if (type === 'pong' && !replayDone) transmitPending();
    if (type === 'bye') reconnectRange = frame.reconnect_ms;
    if (frame.code === 'bad_name') renameSettled = true;
    for (const [before, after] of frame.renamed ?? []) {
      if (before !== announcedName) continue;
      setName((announcedName = after));
      renameSettled = true;
    }
    emit(type, frame);
    if (frame.own || type === 'accepted') settle(id);
    if (frame.retry) setTimeout(transmit, 1000, id);
    else if (type === 'error') settle(id, frame.code, frame.message);
  }

  // A plain text names no sender. The oldest pending message with the same text counts as the one that came back.
  function onPlainText(text) {
    attempts = 0;
    const [id] = [...pending].find(([, message]) => message.sent && message.text === text) ?? [];
    emit('message', { type: 'message', text, time: now(), own: !!id, id });
    if (id) settle(id);
  }

  function setName(name) {
    if (name !== room.name) emit('name', (room.name = name));
  }

  for (const { id, text } of options.pending ?? []) room.send(text, id).catch(() => {});
  globalThis.addEventListener?.('online', room.reconnect);
  timer = setTimeout(openSocket);
  return room;
}
