// A room kept open as docs/protocol.md says. client.html holds this file word for word.

const QUIET = 30_000; // after so long (ms) without a word we ask whether the server lives,
const PATIENCE = 10_000; // and it has so long to greet, answer, acknowledge
const now = () => Date.now();

/** Keeps the room at `url` (`ws://host/tea`) open until `close()`. */
export function connect(url, options = {}) {
  const { protocols = ['chat.v1', 'chat'], slot = 500, cap = 30_000 } = options;
  const Socket = options.WebSocket ?? WebSocket;
  const listeners = {};
  const pending = new Map(); // id -> not acknowledged yet, oldest first
  let { name: wish, session, since } = options;
  let [epoch, seq] = since?.split('.') ?? [];
  let socket, timer, comeBack;
  let renamed = true; // no wish for a name is open
  let former; // once we wished: our name as last announced
  let live = false; // past the replay: nothing we say now can be in it
  let tries = 0, limit = Infinity, quiet = QUIET, heard = 0;
  let asked = 0; // when we first spoke since we last heard

  const room = {
    state: 'connecting', // 'open', 'waiting' or 'closed'
    until: 0, // when the next try comes
    protocol: '', // 'chat.v1', or for plain texts 'chat' or ''
    name: '', // as known here
    member: 0, // our number here

    /** Calls `listener` for each event; returns what takes it off. */
    on(type, listener) {
      const set = (listeners[type] ??= new Set()).add(listener);
      return () => set.delete(listener);
    },

    /** Says `text`, now or later. Resolves once the room has heard it. */
    send(text, id = crypto.getRandomValues(new Uint32Array(3)).join('-')) {
      return new Promise((resolve, reject) => {
        text = text.toWellFormed?.() ?? text; // half a character is none
        pending.set(id, { text, resolve, reject });
        utter(id);
      });
    },

    /** Gives up a pending message; it may have been heard. */
    forget: (id) => settle(id, 'forgotten'),

    /** Sends any other frame. False if we cannot just now. */
    tell(frame) {
      if (room.state !== 'open' || room.protocol !== 'chat.v1') return false;
      socket.send(JSON.stringify(frame));
      asked ||= now();
      watch();
      return true;
    },

    /** Asks for a name, now or later; see the event 'name'. */
    rename(name) {
      wish = name;
      former ||= room.name;
      renamed = false;
      room.tell({ type: 'name', name });
    },

    /** Whether `text` is small enough for a message here. */
    fits(text, id = '-'.repeat(32)) {
      const frame = JSON.stringify({ type: 'message', text, id });
      return new TextEncoder().encode(frame).length <= limit;
    },

    /** Dials now; asks an open connection whether it is alive. */
    nudge() {
      if (room.state === 'waiting') dial();
      else room.tell({ type: 'ping' });
    },

    /** Options for a `connect` that goes on from here. */
    save: () => ({
      name: wish,
      session,
      since: epoch && `${epoch}.${seq}`,
      pending: [...pending].map(([id, { text }]) => ({ id, text })),
    }),

    /** Leaves. What is pending stays so: see `save()`. */
    close() {
      hangUp();
      globalThis.removeEventListener?.('online', room.nudge);
      become('closed');
    },
  };

  function dial() {
    hangUp();
    asked = now();
    watch();
    become('connecting');
    if (room.state === 'closed') return; // by a listener
    try {
      const to = new URL(url);
      const saved = room.save();
      for (const key of ['name', 'since', 'session']) if (saved[key]) to.searchParams.set(key, saved[key]);
      socket = new Socket(to, protocols);
    } catch {
      return lost(); // ws: on an https: page
    }
    socket.onopen = () => {
      room.protocol = socket.protocol;
      if (room.protocol === 'chat.v1') return;
      clearTimeout(timer);
      welcome({});
    };
    socket.onmessage = ({ data }) => {
      hear(data);
      if (pending.size) asked ||= heard; // others' words acknowledge nothing of ours
    };
    socket.onclose = lost;
  }

  function hangUp() {
    clearTimeout(timer);
    live = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(); // may take forever
    socket = null;
  }

  function lost(event = {}) {
    hangUp();
    if (event.code === 4001) return become('closed', event);
    for (const [id, { sent }] of pending) if (sent && room.protocol !== 'chat.v1') settle(id, 'unknown');
    // Full jitter, lest a crowd return as one.
    const [least, most] = comeBack ?? [0, Math.min(cap, slot * 2 ** tries++)];
    const wait = least + Math.random() * (most - least);
    comeBack = null;
    room.until = now() + wait;
    timer = setTimeout(dial, wait);
    become('waiting', event);
  }

  function become(state, { code, reason } = {}) {
    room.state = state;
    emit('state', { state, code, reason });
  }

  function emit(type, event) {
    for (const listener of listeners[type] ?? []) listener(event);
  }

  // A connection can die without a word: we break a silence with a question, and no answer ends it.
  function watch() {
    clearTimeout(timer);
    const wait = (asked ? asked + PATIENCE : heard + quiet) - now();
    if (wait > 0) timer = setTimeout(watch, wait + 1);
    else if (asked) lost({ reason: 'no answer' });
    else room.tell({ type: 'ping' });
  }

  function utter(id) {
    const message = pending.get(id);
    if (!message || !live) return;
    const { text } = message;
    if (!room.fits(text, id)) return settle(id, 'too_large');
    message.sent = true;
    room.tell({ type: 'message', text, id }) || socket.send(text);
  }

  function settle(id, code, reason = code) {
    const message = pending.get(id);
    pending.delete(id);
    if (code) message?.reject(Object.assign(new Error(reason), { code }));
    else message?.resolve(id);
  }

  function flush() {
    live = room.state === 'open'; // or a listener closed
    for (const id of pending.keys()) utter(id);
  }

  function welcome(frame) {
    if (frame.epoch !== epoch) seq = 0;
    ({ epoch, session } = frame);
    room.name = frame.name ?? room.name;
    room.member = frame.member;
    limit = frame.max_message ?? Infinity;
    quiet = frame.ping || QUIET;
    become('open');
    emit('welcome', frame);
    former &&= room.name;
    if (!renamed) room.rename(wish);
    // The pong follows the replay, which may hold what we would repeat.
    if (!pending.size || !room.tell({ type: 'ping' })) flush();
  }

  function hear(data) {
    heard = now();
    asked = 0;
    if (room.protocol !== 'chat.v1') return hearPlain(data);
    const frame = JSON.parse(data);
    const { type, id } = frame;
    const own = (said) => (said.own = said.member === room.member || pending.has(said.id));
    if (type === 'welcome') return welcome(frame);
    tries = 0;
    if (type === 'message') {
      if (frame.seq <= seq) return;
      seq = frame.seq;
      if (own(frame)) called(frame.from);
    }
    if (type === 'history') frame.messages.forEach(own);
    if (type === 'pong' && !live) flush();
    if (type === 'bye') comeBack = frame.reconnect_ms;
    if (frame.code === 'bad_name') renamed = true;
    for (const [was, is] of frame.renamed ?? []) if (was === former) called((former = is), (renamed = true));
    emit(type, frame);
    if (frame.own || type === 'accepted') settle(id);
    if (frame.retry) setTimeout(utter, 1000, id);
    else if (type === 'error') settle(id, frame.code, frame.message);
  }

  // Plain texts have no sender: ours is the oldest that reads alike.
  function hearPlain(text) {
    tries = 0;
    const [id] = [...pending].find(([, said]) => said.sent && said.text === text) ?? [];
    emit('message', { type: 'message', text, time: now(), own: !!id, id });
    if (id) settle(id);
  }

  function called(name) {
    if (name !== room.name) emit('name', (room.name = name));
  }

  for (const { id, text } of options.pending ?? []) room.send(text, id).catch(() => {});
  globalThis.addEventListener?.('online', room.nudge);
  timer = setTimeout(dial);
  return room;
}
