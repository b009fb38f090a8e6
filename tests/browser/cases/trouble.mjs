// The connection breaks in every way, and nothing is lost or doubled.

import { connected, disconnected, equal, flood, names, pause, present, say, sees, shot, texts } from '../stage.mjs';

const counted = (all) => Object.entries(all.reduce((counts, text) => ({ ...counts, [text]: (counts[text] ?? 0) + 1 }), {}));
const onceEach = (all, expected, who) => {
  equal(counted(all).filter(([, count]) => count !== 1), [], `doubled at ${who}`);
  equal(expected.filter((text) => !all.includes(text)), [], `lost at ${who}`);
};

export const cases = {
  async 'a reload shows no leave, keeps the name, and what was missed comes once'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const guest = await stage.enter(`${http}/tea`);
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    await bob.waitForFunction(() => document.querySelectorAll('#names li').length === 3);
    const before = await names(bob);
    const expected = [];
    const tell = async (n) => { expected.push(`b${n}`); await say(bob, `b${n}`); };
    for (let n = 0; n < 10; n++) await tell(n);
    await sees(ann, 'b9');
    await ann.fill('#text', 'a draft');
    let away = 0;
    for (let round = 0; round < 3; round++) {
      const left = Date.now();
      const loads = [ann.reload(), guest.reload()];
      for (let n = 0; n < 5; n++) await tell(10 + round * 5 + n);
      await Promise.all(loads);
      await Promise.all([connected(ann), connected(guest)]);
      away = Math.max(away, Date.now() - left);
    }
    await tell('last');
    for (const page of [ann, guest, bob]) {
      await sees(page, 'blast');
      await sees(page, 'b0');
      onceEach(await texts(page), expected, await page.title());
    }
    equal(await ann.inputValue('#text'), 'a draft');
    await pause(5000);
    await present(bob, ...before);
    // Who stays away for three seconds has left: there are machines on which a reload takes that long.
    if (away < 2900) equal(await bob.locator('.notice', { hasText: 'left' }).count(), 0);
    else console.log(`        a reload took ${away} ms: too long to be overlooked`);
  },

  async 'a server that is restarted loses nothing that was said'(stage) {
    const server = await stage.server();
    const pages = [await stage.enter(`${server.http}/tea`, { name: 'ann' }), await stage.enter(`${server.http}/tea`, { name: 'bob' })];
    const expected = [];
    const talk = async (from, to) => {
      for (let n = from; n < to; n++) for (const [i, page] of pages.entries()) {
        expected.push(`${'ab'[i]}${n}`);
        await say(page, `${'ab'[i]}${n}`);
      }
    };
    await talk(0, 20);
    const stopping = Promise.all([server.stop(), talk(20, 40)]);
    await stopping;
    await talk(40, 50);
    await pages[0].waitForSelector('#bar:not([hidden])');
    await pages[0].waitForFunction(() => /Trying again/.test(document.querySelector('#trouble').textContent));
    await pages[0].waitForSelector('#status:has-text("Not connected")');
    await pages[0].waitForSelector('.pending:last-child .under:has-text("Waiting for the connection")');
    await shot(pages[0], 'disconnected');
    await server.start();
    for (const page of pages) {
      // The server asked for anything up to 30 s; people may be less patient.
      await page.click('#again', { timeout: 2000 }).catch(() => {});
      await connected(page);
    }
    await talk(50, 55);
    for (const page of pages) {
      for (const text of ['a54', 'b54', 'a40', 'b49']) await sees(page, text);
      await page.waitForFunction(() => !document.querySelector('#outgoing .row'));
      onceEach(await texts(page), expected, await page.title());
      equal(await page.locator('.own').count(), 55);
    }
    await present(pages[0], 'ann', 'bob');
  },

  async 'a server that is killed comes back to the same people'(stage) {
    const server = await stage.server();
    const ann = await stage.enter(`${server.http}/tea`, { name: 'ann' });
    await say(ann, 'before');
    await sees(ann, 'before');
    await server.stop('SIGKILL');
    await disconnected(ann);
    await say(ann, 'said to nobody');
    await server.start();
    await connected(ann);
    await sees(ann, 'said to nobody');
    await present(ann, 'ann');
    const bob = await stage.enter(`${server.http}/tea`, { name: 'bob' });
    await sees(bob, 'said to nobody');
    equal(await texts(ann), ['before', 'said to nobody']);
  },

  async 'the network goes without a word and comes back: the same name, no doubles, nothing missed'(stage) {
    const server = await stage.server();
    const line = await stage.line(server);
    const ann = await stage.enter(`${line.http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${server.http}/tea`, { name: 'bob' });
    await present(bob, 'ann', 'bob');
    await say(ann, 'before');
    line.die();
    await say(ann, 'into the void');
    for (let n = 0; n < 5; n++) await say(bob, `missed ${n}`);
    await ann.waitForSelector('#bar:not([hidden])');
    line.heal();
    await connected(ann);
    for (const page of [ann, bob]) await sees(page, 'into the void');
    await sees(ann, 'missed 4');
    const all = ['before', 'missed 0', 'missed 1', 'missed 2', 'missed 3', 'missed 4', 'into the void'];
    for (const page of [ann, bob]) equal(await texts(page), all);
    await pause(4500);
    await present(bob, 'ann', 'bob');
    equal(await bob.locator('.notice', { hasText: 'left' }).count(), 0);
  },

  async 'a message that was heard although its acknowledgement was lost is not said twice'(stage) {
    const server = await stage.server();
    const line = await stage.line(server);
    const ann = await stage.enter(`${line.http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${server.http}/tea`, { name: 'bob' });
    await say(ann, 'before');
    await sees(bob, 'before');
    line.die('down');
    for (const text of ['heard 1', 'heard 2']) await say(ann, text);
    await sees(bob, 'heard 2');
    await say(bob, 'answer');
    await disconnected(ann);
    await say(ann, 'after');
    line.heal();
    await connected(ann);
    for (const page of [ann, bob]) {
      await sees(page, 'after');
      await page.waitForFunction(() => !document.querySelector('#outgoing .row'));
      equal(await texts(page), ['before', 'heard 1', 'heard 2', 'answer', 'after']);
    }
  },

  async 'a reload in the middle of it all sends what was kept'(stage) {
    const server = await stage.server();
    const ann = await stage.enter(`${server.http}/tea`, { name: 'ann' });
    await say(ann, 'before');
    await sees(ann, 'before');
    await server.stop('SIGKILL');
    await disconnected(ann);
    await say(ann, 'kept 1');
    await say(ann, 'kept 2');
    await server.start();
    await ann.reload();
    await connected(ann);
    for (const text of ['kept 1', 'kept 2']) await sees(ann, text);
    equal((await texts(ann)).filter((text) => text.startsWith('kept')), ['kept 1', 'kept 2']);
  },

  async 'after too long an absence all that is still held is shown once, in its order'(stage) {
    const server = await stage.server('--history', '1'); // of which a hundred times as many are held
    const line = await stage.line(server);
    const ann = await stage.enter(`${line.http}/tea`, { name: 'ann' });
    await say(ann, 'before');
    await sees(ann, 'before');
    line.die();
    await say(ann, 'after');
    await flood(await stage.blank(), `${server.ws}/tea`, 150);
    await disconnected(ann);
    line.heal();
    await connected(ann);
    await sees(ann, 'after');
    while (!(await ann.isVisible('#older:has-text("as far back")'))) {
      await ann.evaluate(() => { document.querySelector('#log').scrollTop = 0; });
      await pause(100);
    }
    const all = await texts(ann);
    const held = all.slice(1, -1);
    const first = 150 - held.length;
    equal([all[0], all.at(-1)], ['before', 'after']);
    equal(held, held.map((_, i) => `m${first + i + 1}`));
    if (held.length < 98 || held.length > 101) throw new Error(`${held.length} of 100 that were held`);
  },

  async 'offline and back'(stage) {
    const server = await stage.server();
    const line = await stage.line(server);
    const ann = await stage.enter(`${line.http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${server.http}/tea`, { name: 'bob' });
    await say(ann, 'before');
    await sees(bob, 'before');
    line.die();
    await ann.context().setOffline(true);
    await say(bob, 'missed');
    await ann.waitForSelector('#bar:has-text("You are offline")');
    await say(ann, 'written offline');
    await shot(ann, 'offline');
    line.heal();
    await ann.context().setOffline(false);
    await connected(ann);
    for (const page of [ann, bob]) await sees(page, 'written offline');
    for (const page of [ann, bob]) equal(await texts(page), ['before', 'missed', 'written offline']);
  },

  async 'a session that goes on elsewhere is left to it, and can be taken back'(stage) {
    const server = await stage.server();
    const ann = await (await stage.person({ name: 'ann' })).newPage();
    let session;
    ann.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => { session ??= /"session":"([^"]+)"/.exec(payload)?.[1]; }));
    await ann.goto(`${server.http}/tea`);
    await connected(ann);
    await say(ann, 'here');
    await sees(ann, 'here');
    const blank = await stage.blank();
    await blank.evaluate(async (url) => {
      window.thief = await talk(url, 'chat.v1');
      thief.onclose = ({ code }) => { thief.code = code; };
    }, `${server.ws}/tea?session=${session}`);
    await ann.waitForSelector('#bar:has-text("another tab")');
    await ann.click('#again');
    await connected(ann);
    await blank.waitForFunction(() => thief.code === 4001);
    await say(ann, 'and back');
    await sees(ann, 'and back');
    await present(ann, 'ann');
  },

  async 'on a plain connection a kept message is sent, and one that may be lost is not sent by itself'(stage) {
    const server = await stage.server();
    const person = await stage.person();
    // A server that has never heard of chat.v1.
    await person.addInitScript(() => {
      const Native = WebSocket;
      window.WebSocket = class extends Native {
        constructor(url) { super(url, ['chat']); window.socket = this; }
        send(text) { if (!String(text).startsWith('swallowed')) super.send(text); }
      };
    });
    const ann = await stage.enter(`${server.http}/tea`, person);
    const bob = await stage.enter(`${server.http}/tea`, { name: 'bob' });
    await say(ann, 'plain');
    await sees(ann, 'plain');
    await say(bob, 'hi');
    await sees(ann, 'bob: hi');
    equal(await ann.locator('.own').count(), 1);
    await shot(ann, 'plain');
    await say(ann, 'swallowed');
    await ann.waitForSelector('#outgoing .pending');
    await server.stop('SIGKILL');
    await ann.waitForSelector('.failed:has-text("Perhaps not delivered")');
    await say(ann, 'kept');
    await server.start();
    await connected(ann);
    await sees(ann, 'kept');
    await ann.click('.failed button:has-text("Discard")');
    equal(await texts(ann), ['plain', 'bob: hi', 'kept']);
  },
};
