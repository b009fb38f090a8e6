// How it looks and how it is read: screenshots to be looked at, and axe for what can be checked.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import { connected, equal, pause, present, say, sees, shot } from '../stage.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.flatMap(({ id, nodes }) => nodes.slice(0, 3).map(({ html, any }) => `${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ''}`));
  if (found.length) throw new Error(`${what}\n${found.join('\n')}`);
}

/** A conversation with a bit of everything. */
async function converse(stage, http) {
  const person = { ann: await stage.enter(`${http}/tea`, { name: 'Ann Lee' }), bob: await stage.enter(`${http}/tea`, { name: 'bob' }), mei: await stage.enter(`${http}/tea`, { name: '陈美' }) };
  const talk = [
    ['ann', 'Good morning! Is the kettle on?'],
    ['bob', 'It is. Green or black today?'],
    ['bob', 'I also found the oolong that you liked.'],
    ['mei', '早上好！我想喝乌龙茶 🍵'],
    ['ann', 'Oolong for me, too.\nAnd here is the page I told you about: https://en.wikipedia.org/wiki/Oolong (the last part is good).'],
    ['bob', '👍'],
    ['mei', 'مرحبا بالجميع، كيف حالكم اليوم؟'],
    ['bob', '<img src=x onerror=alert(1)> is just what I typed.'],
    ['bob', 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft'.repeat(2)],
    ['ann', 'Short.'],
    ['ann', 'And a second one right below, a bit longer, so that it wraps when the window is not all that wide.'],
    ['mei', 'See you at four?'],
  ];
  for (const [who, text] of talk) {
    await say(person[who], text);
    await sees(person.ann, text);
  }
  return person;
}

const LOOKS = {
  'desktop-light': { colorScheme: 'light' },
  'desktop-dark': { colorScheme: 'dark' },
  'wide-light': { colorScheme: 'light', viewport: { width: 1920, height: 1000 } },
  'tablet-dark': { colorScheme: 'dark', viewport: { width: 900, height: 1100 } },
  'zoomed-dark': { colorScheme: 'dark', viewport: { width: 256, height: 160 }, deviceScaleFactor: 5 },
  'phone-light': { colorScheme: 'light', viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  'phone-dark': { colorScheme: 'dark', viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

export const cases = {
  async 'light and dark, desktop and phone: no violations, nothing wider than the screen'(stage) {
    const { http } = await stage.server();
    const { ann } = await converse(stage, http);
    for (const [name, look] of Object.entries(LOOKS)) {
      const page = await stage.enter(`${http}/tea`, { name: 'Tom', reducedMotion: 'reduce', ...look });
      await say(page, `Looks good from a ${name.replace('-', ' in ')}.`);
      await present(page, 'Ann Lee', 'Tom', 'bob', '陈美');
      await page.waitForFunction(() => !document.querySelector('#outgoing .row'));
      await shot(page, name);
      await accessible(page, name);
      equal(await page.evaluate(() => [document.documentElement.scrollWidth > innerWidth, document.querySelector('#log').scrollWidth > document.querySelector('#log').clientWidth]), [false, false], `${name} scrolls sideways`);
      await page.click('#self');
      await pause(200);
      await shot(page, `${name}-naming`);
      await accessible(page, `${name}, naming`);
      await page.keyboard.press('Escape');
      for (const drawer of ['menu', 'crowd']) {
        if (!(await page.isVisible(`#${drawer}`))) continue;
        await page.click(`#${drawer}`);
        await pause(200);
        await shot(page, `${name}-${drawer}`);
        await accessible(page, `${name}, ${drawer}`);
        await page.keyboard.press('Escape');
      }
      await page.context().close();
      await present(ann, 'Ann Lee', 'bob', '陈美');
    }
  },

  async 'an empty room, trouble, and what was not sent: no violations either'(stage) {
    const server = await stage.server();
    for (const colorScheme of ['light', 'dark']) {
      const page = await stage.enter(`${server.http}/${colorScheme}`, { name: 'ann', colorScheme, reducedMotion: 'reduce' });
      await page.waitForSelector('#empty:not([hidden])');
      await shot(page, `empty-${colorScheme}`);
      await accessible(page, `empty, ${colorScheme}`);
      await server.stop('SIGKILL');
      await say(page, 'This one waits.');
      await page.waitForSelector('#bar:not([hidden])');
      await shot(page, `waiting-${colorScheme}`);
      await accessible(page, `waiting, ${colorScheme}`);
      await server.start();
      await connected(page);
    }
  },

  async 'the page speaks Simplified Chinese to those who do'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/茶`, { name: '安', locale: 'zh-CN', reducedMotion: 'reduce' });
    const phone = await stage.enter(`${http}/茶`, { name: '陈美', locale: 'zh-CN', colorScheme: 'dark', ...LOOKS['phone-dark'] });
    equal(await ann.getAttribute('html', 'lang'), 'zh-CN');
    await say(ann, '今天下午四点喝茶，大家都来吗？');
    await say(phone, '来！我带一些点心。');
    await say(ann, '太好了 🎉');
    await sees(phone, '太好了 🎉');
    await ann.waitForFunction(() => document.querySelector('#status').textContent === '2 人在线');
    const english = await ann.evaluate(() => [...document.querySelectorAll('h2, label, button, [placeholder]')].flatMap((e) => [e.textContent, e.ariaLabel ?? '', e.placeholder ?? '']).filter((words) => /[a-z]{4}/i.test(words)));
    equal(english, [], 'English words in a Chinese page');
    await shot(ann, 'chinese');
    await shot(phone, 'chinese-phone');
    await accessible(ann, 'in Chinese');
  },

  async 'emoji alone are large, right-to-left text begins at the right, and a screen reader hears what is said'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    for (const [text, big] of [['👍', true], ['👩‍👩‍👧 🇨🇭', true], ['👍 ok', false], ['12', false], ['#', false], ['😀😀😀😀😀😀😀', false]]) {
      await say(bob, text);
      await sees(ann, text);
      equal(await ann.$$eval('.row .text', (all) => all.at(-1).matches('.big')), big, text);
    }
    await say(bob, 'שלום');
    await sees(ann, 'שלום');
    equal(await ann.$$eval('.row .text', (all) => getComputedStyle(all.at(-1)).direction), 'rtl');
    equal(await ann.textContent('#live'), 'bob: שלום');
    equal(await ann.evaluate(() => document.querySelector('#log').getAttribute('aria-live')), 'off');
  },
};
