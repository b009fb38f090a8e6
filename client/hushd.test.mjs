// The client library against a socket and a clock of the test's own: `node --test client/`.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { connect } from './hushd.js';

const sockets = [];

class Socket {
  sent = [];
  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    sockets.push(this);
  }
  send(text) { this.sent.push(text); }
  close() { this.closed = true; }
  // What the server and the network do:
  accept(protocol = 'chat.v1') { this.protocol = protocol; this.onopen(); }
  say(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
  drop(code = 1006, reason = '') { this.onclose({ code, reason }); }
  welcome(more = {}) {
    this.accept();
    this.say({ type: 'welcome', name: 'ann', member: 7, session: 's', epoch: 'e', seq: 0, resumed: false, ping: 30_000, max_message: 1000, ...more });
  }
  heard() { return this.sent.map((text) => JSON.parse(text)); }
}

beforeEach(() => {
  sockets.length = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
});

function enter(options) {
  const events = [];
  const room = connect('ws://host/tea', { WebSocket: Socket, ...options });
  for (const type of ['state', 'welcome', 'message', 'name', 'error']) room.on(type, (event) => events.push([type, event]));
  mock.timers.tick(1);
  return { room, events, messages: () => events.filter(([type]) => type === 'message').map(([, { text }]) => text) };
}
const last = () => sockets.at(-1);
const message = (seq, more) => ({ type: 'message', seq, time: 1, from: 'bob', member: 9, text: `m${seq}`, ...more });
const outcome = (promise) => promise.then((id) => id, ({ code }) => code);

test('the first call offers what we speak and tells no more than we know', () => {
  enter({ name: 'ann b' });
  assert.equal(last().url.href, 'ws://host/tea?name=ann+b');
  assert.deepEqual(last().protocols, ['chat.v1', 'chat']);
});

test('a message is acknowledged when it comes back with our member and id', async () => {
  const { room, messages } = enter();
  const sent = room.send('hi', 'c-1');
  last().welcome();
  assert.deepEqual(last().heard(), [{ type: 'ping' }], 'first the end of the replay');
  last().say({ type: 'pong', time: 1 });
  assert.deepEqual(last().heard()[1], { type: 'message', text: 'hi', id: 'c-1' });
  last().say(message(1, { id: 'c-1', text: 'somebody else with this number' }));
  last().say(message(2, { member: 7, from: 'ann', id: 'c-1', text: 'hi' }));
  assert.equal(await sent, 'c-1');
  assert.deepEqual(room.save().pending, []);
  assert.equal(messages().length, 2);
});

test('what was not acknowledged is said again with the same id, unless the replay holds it', async () => {
  const { room, messages } = enter();
  last().welcome();
  const first = room.send('one', 'c-1');
  const second = room.send('two', 'c-2');
  last().say(message(1));
  last().drop();
  mock.timers.tick(60_000);
  assert.equal(last().url.search, '?since=e.1&session=s');
  last().welcome({ seq: 2, resumed: true });
  last().say(message(2, { member: 7, from: 'ann', id: 'c-1', text: 'one' }));
  last().say({ type: 'pong', time: 1 });
  assert.deepEqual(last().heard(), [{ type: 'ping' }, { type: 'message', text: 'two', id: 'c-2' }]);
  last().say({ type: 'accepted', id: 'c-2', seq: 3 });
  assert.deepEqual(await Promise.all([first, second]), ['c-1', 'c-2']);
  assert.deepEqual(messages(), ['m1', 'one']);
});

test('nothing is heard twice in one epoch, and a new epoch counts from its own beginning', () => {
  const { messages, room } = enter({ since: 'e.41' });
  last().welcome({ seq: 43, resumed: true });
  for (const seq of [41, 42, 42, 43]) last().say(message(seq));
  assert.deepEqual(messages(), ['m42', 'm43']);
  last().drop();
  mock.timers.tick(60_000);
  last().welcome({ epoch: 'f', seq: 1 });
  last().say(message(1));
  assert.deepEqual(messages(), ['m42', 'm43', 'm1']);
  assert.equal(room.save().since, 'f.1');
});

test('waits grow, are drawn from their whole length, and keep below the cap', () => {
  for (const [random, waits] of [[0, [0, 0, 0, 0, 0, 0, 0, 0]], [0.999999, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]]]) {
    const drawn = mock.method(Math, 'random', () => random);
    const { room } = enter();
    for (const wait of waits) {
      last().drop();
      assert.equal(Math.round(room.until - Date.now()), wait);
      mock.timers.tick(wait + 1);
    }
    room.close();
    drawn.mock.restore();
  }
});

test('a server that says goodbye says when to come back', () => {
  const drawn = mock.method(Math, 'random', () => 0.5);
  const { room } = enter();
  last().welcome();
  last().say({ type: 'bye', code: 1001, reason: 'shutting down', reconnect_ms: [1000, 5000] });
  last().drop(1001);
  assert.equal(room.until - Date.now(), 3000);
  mock.timers.tick(3000);
  last().drop();
  assert.ok(room.until - Date.now() <= 1000, 'which it said for this once');
  drawn.mock.restore();
});

test('a silent server is asked whether it is there, and left if it does not answer', () => {
  const { room } = enter();
  last().welcome({ ping: 20_000 });
  mock.timers.tick(20_100);
  assert.deepEqual(last().heard(), [{ type: 'ping' }]);
  last().say({ type: 'pong', time: 1 });
  mock.timers.tick(15_000);
  assert.equal(last().sent.length, 1);
  mock.timers.tick(6_000);
  assert.equal(last().sent.length, 2);
  mock.timers.tick(10_100);
  assert.equal(room.state, 'waiting');
  assert.ok(sockets[0].closed);
});

test('a message that stays without an answer, and a call that is not taken, end the connection', () => {
  const { room } = enter();
  mock.timers.tick(10_100);
  assert.equal(room.state, 'waiting', 'never connected');
  mock.timers.tick(60_000);
  last().welcome();
  room.send('hi');
  mock.timers.tick(10_100);
  assert.equal(room.state, 'waiting');
  mock.timers.tick(60_000);
  last().welcome();
  last().say({ type: 'pong', time: 1 });
  last().say(message(1));
  mock.timers.tick(9_000);
  assert.equal(room.state, 'open');
  mock.timers.tick(1_100);
  assert.equal(room.state, 'waiting', 'others were heard, our message was not');
  mock.timers.tick(60_000);
  last().welcome({ seq: 1, resumed: true });
  last().say({ type: 'pong', time: 1 });
  last().say(message(2, { member: 7, id: last().heard()[1].id }));
  mock.timers.tick(20_000);
  assert.equal(room.state, 'open', 'and now it was');
});

test('a session that went elsewhere is not fought for', () => {
  const { room, events } = enter();
  last().welcome();
  last().drop(4001, 'replaced');
  mock.timers.tick(100_000);
  assert.equal(sockets.length, 1);
  assert.equal(room.state, 'closed');
  assert.equal(events.at(-1)[1].code, 4001);
});

test('a reload goes on where it stopped', async () => {
  const before = enter({ name: 'ann' });
  last().welcome({ seq: 3 });
  last().say(message(3));
  before.room.send('kept', 'c-9');
  const saved = JSON.parse(JSON.stringify(before.room.save()));
  before.room.close();
  assert.deepEqual(saved, { name: 'ann', session: 's', since: 'e.3', pending: [{ id: 'c-9', text: 'kept' }] });
  enter(saved);
  assert.equal(last().url.search, '?name=ann&since=e.3&session=s');
  last().welcome({ seq: 3, resumed: true });
  last().say({ type: 'pong', time: 1 });
  assert.deepEqual(last().heard()[1], { type: 'message', text: 'kept', id: 'c-9' });
});

test('a name is asked for when there is somebody to ask, and believed when the room says so', () => {
  const { room, events } = enter();
  room.rename('anna');
  last().welcome();
  assert.deepEqual(last().heard(), [{ type: 'name', name: 'anna' }]);
  last().say({ type: 'presence', online: 2, left: [], renamed: [['bob', 'rob'], ['ann', 'anna-2']], joined: [] });
  assert.equal(room.name, 'anna-2');
  last().say(message(1, { member: 7, from: 'anna-3' }));
  assert.deepEqual(events.filter(([type]) => type === 'name').map(([, name]) => name), ['anna-2', 'anna-3']);
});

test('a wish for a name outlives the connection that it was told, and others with our name do not rename us', () => {
  const { room, events } = enter({ name: 'ann' });
  last().welcome();
  last().say({ type: 'presence', online: 2, left: [], renamed: [['ann', 'al']], joined: ['ann'] });
  assert.equal(room.name, 'ann', 'that was the ann before us');
  room.rename('b');
  last().say(message(1, { member: 7, from: 'b' }));
  room.rename('c');
  last().say({ type: 'presence', online: 2, left: [], renamed: [['ann', 'c']], joined: [] });
  assert.equal(room.name, 'c', 'told at once, though we were heard as b meanwhile');
  room.rename('d');
  last().drop();
  mock.timers.tick(60_000);
  last().welcome({ name: 'c' });
  assert.deepEqual(last().heard(), [{ type: 'name', name: 'd' }]);
  last().say({ type: 'error', code: 'bad_name', message: 'no', retry: false });
  last().drop();
  mock.timers.tick(60_000);
  last().welcome({ name: 'c' });
  assert.deepEqual(last().sent, [], 'no for an answer');
  assert.deepEqual(events.filter(([type]) => type === 'name').map(([, name]) => name), ['b', 'c']);
});

test('a listener may close the room at any moment', () => {
  for (const moment of ['connecting', 'open', 'waiting']) {
    const { room } = enter({ pending: [{ id: 'c-1', text: 'kept' }] });
    room.on('state', ({ state }) => state === moment && room.close());
    const before = sockets.length;
    last().welcome();
    if (room.state === 'open') last().drop();
    mock.timers.tick(60_000);
    assert.equal(room.state, 'closed', moment);
    assert.equal(sockets.length, before, moment);
    assert.deepEqual(room.save().pending, [{ id: 'c-1', text: 'kept' }]);
  }
});

test('half a character is mended, and a long id counts', async () => {
  const { room } = enter();
  last().welcome({ max_message: 100 });
  room.send('cut \ud83d', 'c-1');
  assert.equal(last().heard()[0].text, 'cut \ufffd');
  assert.equal(await outcome(room.send('x', 'i'.repeat(64))), 'too_large');
});

test('errors reach whom they concern', async () => {
  const { room, events } = enter();
  last().welcome();
  const refused = outcome(room.send('x', 'c-1'));
  last().say({ type: 'error', code: 'bad_request', message: 'no', id: 'c-1', retry: false });
  assert.equal(await refused, 'bad_request');
  last().say({ type: 'error', code: 'bad_name', message: 'no', retry: false });
  assert.equal(events.at(-1)[1].code, 'bad_name');
  room.send('y', 'c-2');
  last().say({ type: 'error', code: 'busy', message: 'later', id: 'c-2', retry: true });
  mock.timers.tick(1001);
  assert.deepEqual(last().heard().filter(({ id }) => id === 'c-2').length, 2);
  assert.equal(await outcome(room.send('é'.repeat(500))), 'too_large');
  assert.equal(await outcome(((sent) => (room.cancel('c-3'), sent))(room.send('z', 'c-3'))), 'forgotten');
});

test('the names of version 0.1 still work', () => {
  const { room } = enter();
  for (const [old, name] of [['forget', 'cancel'], ['tell', 'sendFrame'], ['nudge', 'reconnect']]) assert.equal(room[old], room[name]);
});

test('without chat.v1 the oldest text under way that reads the same is ours', async () => {
  const { room, events } = enter();
  const sent = room.send('hi', 'c-1');
  last().accept('');
  assert.deepEqual(last().sent, ['hi']);
  last().onmessage({ data: 'ho' });
  last().onmessage({ data: 'hi' });
  last().onmessage({ data: 'hi' });
  assert.equal(await sent, 'c-1');
  assert.deepEqual(events.filter(([type]) => type === 'message').map(([, { own }]) => own), [false, true, false]);
  mock.timers.tick(1_000_000);
  assert.equal(room.state, 'open', 'and silence means nothing');
  const lost = outcome(room.send('lost'));
  const kept = ((last().drop()), room.send('kept', 'c-3'));
  assert.equal(await lost, 'unknown');
  mock.timers.tick(60_000);
  last().accept('chat');
  assert.deepEqual(last().sent, ['kept']);
  last().onmessage({ data: 'kept' });
  assert.equal(await kept, 'c-3');
  const drawn = mock.method(Math, 'random', () => 1);
  last().drop();
  assert.equal(room.until - Date.now(), 500, 'what was heard begins the waits anew');
  drawn.mock.restore();
});
