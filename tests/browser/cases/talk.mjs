// People who talk to each other, and nothing goes wrong.

import { PAGE_FILE, connected, equal, names, pause, present, say, sees, shot, texts, toasted } from '../stage.mjs';

export const cases = {
  async 'three tabs talk, and all see the same in the same order'(stage) {
    const { http } = await stage.server();
    const [ann, bob, eve] = [await stage.enter(`${http}/tea`, { name: 'ann' }), await stage.enter(`${http}/tea`, { name: 'bob' }), await stage.enter(`${http}/tea`)];
    const pages = [ann, bob, eve];
    await present(ann, 'ann', 'bob', ...(await names(eve)).filter((name) => name.startsWith('guest')));
    for (let n = 0; n < 20; n++) for (const [i, page] of pages.entries()) await say(page, `${'abe'[i]}${n}`);
    for (const page of pages) await sees(page, 'e19');
    for (const page of pages) await page.waitForFunction(() => document.querySelectorAll('#rows .row').length === 60);
    const [first, ...others] = await Promise.all(pages.map(texts));
    for (const other of others) equal(other, first);
    equal(await ann.locator('.own').count(), 20, 'own lines');
    equal(await bob.locator('.own .text').last().textContent(), 'b19');
    equal(await eve.locator('.row:not(.own) .name').first().textContent(), 'ann');
    await say(ann, 'only in tea');
    const coffee = await stage.enter(`${http}/coffee`);
    equal(await texts(coffee), []);
  },

  async 'a page opened from disk talks with one that was served, once it knows where the server is'(stage) {
    const { http, ws } = await stage.server();
    const disk = await (await stage.person({ name: 'disk' })).newPage();
    await disk.goto(`${PAGE_FILE}#/tea`);
    await disk.fill('#server', ws.replace('ws://', 'http://'));
    await disk.press('#server', 'Enter');
    await connected(disk);
    const served = await stage.enter(`${http}/tea`, { name: 'served' });
    await say(disk, 'from disk');
    await say(served, 'from the server');
    for (const page of [disk, served]) for (const text of ['from disk', 'from the server']) await sees(page, text);
    await shot(disk, 'from-disk');
    await disk.reload();
    await connected(disk);
    await say(disk, 'it remembers');
    await sees(served, 'it remembers');
  },

  async 'the simplest pages work: without a subprotocol, and with chat'(stage) {
    const { http, ws } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const blank = await stage.blank();
    const spoken = await blank.evaluate(async (url) => {
      window.bare = await talk(url);
      window.chat = await talk(url, 'chat');
      window.both = await talk(url, ['unheard-of', 'chat']);
      bare.send('from a bare page');
      return [bare.protocol, chat.protocol, both.protocol];
    }, `${ws}/tea`);
    equal(spoken, ['', 'chat', 'chat']);
    await sees(ann, 'from a bare page');
    await say(ann, 'hello, plain one');
    await blank.waitForFunction(() => [bare, chat, both].every(({ heard }) => heard.length === 2));
    equal(await blank.evaluate(() => bare.heard), ['from a bare page', 'ann: hello, plain one']);
    await blank.evaluate(() => bare.send(new Uint8Array(1500)));
    await sees(ann, '1.5 kB of data');
  },

  async 'long messages are compressed on their way to the browser and from it'(stage) {
    const { http, ws } = await stage.server('--compression', 'on');
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const blank = await stage.blank();
    const long = `${'at the old place by the river, '.repeat(30)}at eight`;
    const extensions = await blank.evaluate(async (url) => (window.bare = await talk(url)).extensions, `${ws}/tea`);
    equal(extensions, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    await blank.evaluate((long) => bare.send(long), long);
    await sees(ann, long);
    await say(ann, `${long}?`);
    await blank.waitForFunction(() => bare.heard.length === 2);
    equal(await blank.evaluate(() => bare.heard), [long, `ann: ${long}?`]);
  },

  async 'Enter sends, Shift+Enter begins a line, and the keyboard alone does everything'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const key = ann.keyboard;
    const focused = () => ann.evaluate(() => document.activeElement.id);
    equal(await focused(), 'text', 'one can type at once');
    await key.type('one');
    await key.press('Shift+Enter');
    await key.type('two');
    await key.press('Enter');
    await sees(ann, 'one\ntwo');
    await key.press('Enter');
    await pause(100);
    equal(await texts(ann), ['one\ntwo'], 'nothing is not sent');
    const hand = await ann.context().newCDPSession(ann);
    await hand.send('Input.imeSetComposition', { text: 'ni', selectionStart: 2, selectionEnd: 2 });
    await ann.dispatchEvent('#text', 'keydown', { key: 'Enter', isComposing: true });
    equal([await texts(ann), await ann.inputValue('#text')], [['one\ntwo'], 'ni'], 'Enter ends what an input method composes');
    await hand.send('Input.insertText', { text: '你' });
    await key.press('Enter');
    await sees(ann, '你');
    await say(ann, '\n    if tea:\n        drink()\n');
    await sees(ann, '    if tea:\n        drink()');
    await key.press('Shift+Tab');
    equal(await focused(), 'self');
    await key.press('Enter');
    equal(await focused(), 'name');
    await key.type('anna');
    await key.press('Enter');
    await present(ann, 'anna');
    equal(await focused(), 'text');
    await key.press('Control+k');
    equal(await focused(), 'where');
    await key.type('coffee');
    await key.press('Enter');
    await ann.waitForURL(`${http}/coffee`);
    await connected(ann);
    await ann.focus('#log');
    await key.press('Escape');
    equal(await focused(), 'text');
    const seen = new Set();
    for (let n = 0; n < 15; n++) {
      await key.press('Tab');
      seen.add(await ann.evaluate(() => document.activeElement.id || document.activeElement.textContent));
    }
    for (const id of ['where', 'tea', 'share', 'log', 'self', 'text']) if (!seen.has(id)) throw new Error(`Tab does not come to ${id}: ${[...seen]}`);
    await ann.focus('#recent a:not([aria-current])');
    await key.press('Enter');
    await ann.waitForURL(`${http}/tea`);
    await sees(ann, 'one\ntwo');
  },

  async 'a new name is seen by all'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    await present(bob, 'ann', 'bob');
    await say(ann, 'hello');
    await sees(bob, 'hello');
    await ann.click('#self');
    await ann.fill('#name', '  Anna   Lee ');
    await ann.click('#naming button');
    for (const page of [ann, bob]) await present(page, 'Anna Lee', 'bob');
    await bob.waitForSelector('.notice:has-text("ann is now Anna Lee")');
    await say(ann, 'hi');
    await sees(bob, 'hi');
    equal(await bob.locator('.row .name').last().textContent(), 'Anna Lee');
    const other = await stage.enter(`${http}/tea`, { name: 'bob' });
    await connected(other);
    await ann.waitForFunction(() => document.querySelectorAll('#names li').length === 3);
    equal((await names(ann)).filter((name) => name.startsWith('bob')).length, 2, 'a name in use gets a number');
    await bob.close();
    await bob.context().close();
    await ann.waitForSelector('.notice:has-text("bob left")');
  },

  async 'rooms: going there, coming back, the recent ones, and a link to share'(stage) {
    const { http } = await stage.server();
    const person = await stage.person({ name: 'ann', permissions: ['clipboard-read', 'clipboard-write'] });
    const ann = await stage.enter(`${http}/`, person);
    equal(await ann.textContent('#room'), 'Lobby');
    await ann.fill('#where', '/茶 & cake?#1');
    await ann.press('#where', 'Enter');
    await connected(ann);
    await say(ann, 'in a room with a strange name');
    await sees(ann, 'in a room with a strange name');
    await ann.click('#share');
    await toasted(ann, 'Link copied');
    const link = await ann.evaluate(() => navigator.clipboard.readText());
    const bob = await stage.enter(link, { name: 'bob' });
    await sees(bob, 'in a room with a strange name');
    equal(await bob.textContent('#room'), '茶 & cake?#1');
    await ann.goBack();
    await connected(ann);
    equal(await ann.textContent('#room'), 'Lobby');
    equal(await texts(ann), []);
    await ann.goForward();
    await sees(ann, 'in a room with a strange name');
    equal((await ann.$$eval('#recent bdi', (all) => all.map((e) => e.textContent))), ['茶 & cake?#1', 'Lobby']);
    await ann.hover('#recent li:last-child');
    await ann.click('#recent li:last-child button');
    equal(await ann.locator('#recent li').count(), 1);
  },

  async 'what one did not see is counted and marked'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    await say(bob, 'seen');
    await sees(ann, 'seen');
    await ann.evaluate(() => { document.hasFocus = () => false; });
    for (let n = 1; n <= 3; n++) await say(bob, `unseen ${n}`);
    await ann.waitForFunction(() => document.title === '(3) tea · hush');
    equal(await ann.$eval('.news', (line) => line.nextElementSibling.querySelector('.text').textContent), 'unseen 1');
    await ann.evaluate(() => { delete document.hasFocus; window.dispatchEvent(new Event('focus')); });
    equal(await ann.title(), 'tea · hush');
    for (let n = 0; n < 40; n++) await say(bob, `line ${n}`);
    await sees(ann, 'line 39');
    await ann.evaluate(() => { document.querySelector('#log').scrollTop = 0; });
    await ann.waitForSelector('#pill.quiet');
    for (let n = 1; n <= 12; n++) await say(bob, `below ${n}`);
    await ann.waitForSelector('#pill:has-text("12 new messages")');
    await shot(ann, 'unread');
    await ann.click('#pill');
    await ann.waitForSelector('#pill', { state: 'hidden' });
    equal(await ann.$eval('.news', (line) => line.nextElementSibling.querySelector('.text').textContent), 'below 1');
    await say(ann, 'I have read it all');
    await sees(ann, 'I have read it all');
    equal(await ann.locator('.news').count(), 0);
  },

  async 'a system notification comes to those who asked for it and look elsewhere'(stage) {
    const { http } = await stage.server();
    const person = await stage.person({ name: 'ann', permissions: ['notifications'] });
    await person.addInitScript(() => {
      window.notified = [];
      window.Notification = class {
        static permission = 'default';
        static async requestPermission() { return (this.permission = 'granted'); }
        constructor(title, { body }) { notified.push(`${title}: ${body}`); }
      };
    });
    const ann = await stage.enter(`${http}/tea`, person);
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    const elsewhere = (is) => ann.evaluate((is) => { document.hasFocus = () => !is; }, is);
    await elsewhere(true);
    await say(bob, 'not asked for');
    await sees(ann, 'not asked for');
    await ann.click('#bell');
    equal(await ann.getAttribute('#bell', 'aria-pressed'), 'true');
    await say(bob, 'asked for');
    await sees(ann, 'asked for');
    await say(ann, 'my own');
    await sees(ann, 'my own');
    await elsewhere(false);
    await say(bob, 'seen anyway');
    await sees(ann, 'seen anyway');
    equal(await ann.evaluate(() => notified), ['bob: asked for']);
  },

  async 'a duplicated tab is somebody else'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    await say(ann, 'one');
    await sees(ann, 'one');
    // A window that is opened like this begins with a copy of the session storage.
    const [copy] = await Promise.all([ann.context().waitForEvent('page'), ann.evaluate(() => { window.open(location.href); })]);
    await connected(copy);
    await sees(copy, 'one');
    await pause(500);
    equal(await ann.getAttribute('body', 'data-state'), 'open');
    await ann.waitForFunction(() => document.querySelectorAll('#names li').length === 2);
    equal(await copy.locator('.own').count(), 0);
  },

  async 'reading goes on where it stopped, in a new tab too'(stage) {
    const { http } = await stage.server();
    const person = await stage.person({ name: 'ann' });
    const ann = await stage.enter(`${http}/tea`, person);
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    await say(bob, 'read');
    await sees(ann, 'read');
    await Promise.all([ann.waitForEvent('close'), ann.close({ runBeforeUnload: true })]);
    await pause(300);
    await say(bob, 'not read');
    await sees(bob, 'not read');
    const again = await stage.enter(`${http}/tea`, person);
    await sees(again, 'not read');
    equal(await again.$eval('.news', (line) => line.nextElementSibling.querySelector('.text').textContent), 'not read');
  },
};
