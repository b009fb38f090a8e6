// Many messages, many people.

import { equal, flood, pause, present, say, sees, shot } from '../stage.mjs';

const inOrder = async (page, count) => equal(
  await page.$$eval('#rows .text', (all) => all.map((e) => e.textContent)).then((all) => all.findIndex((text, i) => text !== `m${i + 1}`)),
  -1, `of ${count} the first that is not in its place`);

export const cases = {
  async 'history comes as one scrolls up, and what one reads does not move'(stage) {
    const server = await stage.server();
    await flood(await stage.blank(), `${server.ws}/tea`, 700);
    const ann = await stage.enter(`${server.http}/tea`, { name: 'ann' });
    await sees(ann, 'm700');
    await pause(1000);
    const loaded = await ann.locator('#rows .row').count();
    if (loaded > 200) throw new Error(`${loaded} messages without being asked for`);
    const moved = [];
    for (let round = 0; round < 60 && !(await ann.isVisible('#older:has-text("as far back")')); round++) {
      moved.push(await ann.evaluate(async () => {
        const log = document.querySelector('#log');
        const rows = document.querySelectorAll('#rows .row');
        log.scrollTop = Math.min(log.scrollTop, 300);
        const top = log.getBoundingClientRect().top;
        const eye = [...rows].find((row) => row.getBoundingClientRect().top > top + 100);
        await new Promise((resume) => requestAnimationFrame(() => requestAnimationFrame(resume)));
        const before = eye.getBoundingClientRect().top;
        const many = rows.length;
        for (let n = 0; n < 400 && document.querySelectorAll('#rows .row').length === many; n++) await new Promise((resume) => setTimeout(resume, 25));
        await new Promise((resume) => requestAnimationFrame(() => requestAnimationFrame(resume)));
        return Math.round(eye.getBoundingClientRect().top - before);
      }));
      await ann.evaluate(() => { document.querySelector('#log').scrollTop = 0; });
      await pause(30);
    }
    await ann.waitForFunction(() => document.querySelectorAll('#rows .row').length === 700);
    await inOrder(ann, 700);
    equal(moved.filter((by) => Math.abs(by) > 2), [], 'pixels by which what was read moved');
    await shot(ann, 'history');
    await say(ann, 'now');
    await sees(ann, 'now');
    equal(await ann.evaluate(() => { const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 5; }), true, 'one sees what one says');
  },

  async 'ten thousand messages do not make it slow'(stage) {
    const server = await stage.server('--message-rate', '0', '--byte-rate', '0');
    const ann = await stage.enter(`${server.http}/tea`, { name: 'ann' });
    await flood(await stage.blank(), `${server.ws}/tea`, 10_000);
    await sees(ann, 'm10000');
    equal(await ann.locator('#rows .row').count(), 10_000);
    await inOrder(ann, 10_000);
    const cost = await ann.evaluate(async () => {
      const log = document.querySelector('#log');
      const frame = () => new Promise((resume) => requestAnimationFrame(resume));
      const started = performance.now();
      for (let n = 0; n < 30; n++) { log.scrollTop -= 700; await frame(); }
      const scrolled = performance.now();
      log.scrollTop = log.scrollHeight;
      await frame();
      return { scroll: (scrolled - started) / 30, nodes: document.querySelectorAll('*').length };
    });
    const spoken = await ann.evaluate(async () => {
      const started = performance.now();
      for (let n = 0; n < 20; n++) {
        document.querySelector('#text').value = `after ${n}`;
        document.querySelector('#composer').requestSubmit();
        const latest = () => [...document.querySelector('#rows').lastElementChild.querySelectorAll('.text')].at(-1)?.textContent;
        while (latest() !== `after ${n}`) await new Promise((resume) => setTimeout(resume));
        await new Promise((resume) => requestAnimationFrame(resume));
      }
      return (performance.now() - started) / 20;
    });
    console.log(`        with 10,000 messages: ${cost.scroll.toFixed(0)} ms for a step of scrolling, ${spoken.toFixed(0)} ms until one sees what one said, ${cost.nodes} elements`);
  },

  async 'a crowd is counted, and named again when it has become small'(stage) {
    const server = await stage.server();
    const ann = await stage.enter(`${server.http}/tea`, { name: 'ann' });
    const blank = await stage.blank();
    await blank.evaluate(async (url) => {
      window.crowd = await Promise.all(Array.from({ length: 230 }, (_, n) => talk(`${url}?name=p${n}`, 'chat.v1')));
    }, `${server.ws}/tea`);
    await ann.waitForFunction(() => document.querySelector('#online').textContent === '231');
    await ann.waitForSelector('#many:has-text("Too many people")');
    equal(await ann.locator('#names li').count(), 0);
    await say(ann, 'hello, all of you');
    await sees(ann, 'hello, all of you');
    await ann.click('#self');
    await ann.fill('#name', 'anna');
    await ann.press('#name', 'Enter');
    await say(ann, 'renamed among many');
    await sees(ann, 'renamed among many');
    await ann.waitForFunction(() => document.querySelector('#self').ariaLabel.includes('anna'));
    await blank.evaluate(() => crowd.splice(0, 225).forEach((socket) => socket.close()));
    await present(ann, 'anna', 'p225', 'p226', 'p227', 'p228', 'p229');
    await shot(ann, 'after-the-crowd');
  },
};
