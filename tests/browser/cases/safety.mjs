// What others send is text: it never becomes markup, script or a link to where links must not lead.

import { connected, equal, pause, present, say, sees, shot, texts, toasted } from '../stage.mjs';

const ATTACKS = [
  '<img src=x onerror="window.hurt=1">',
  '<script>window.hurt=1</script>',
  '<svg/onload=window.hurt=1>',
  '"><iframe srcdoc="<script>parent.hurt=1</script>">',
  "'-window.hurt=1-'",
  '{{constructor.constructor("window.hurt=1")()}}',
  '</textarea></title></style></script><b>bold</b>',
  '&lt;b&gt; &amp; &#x3c;',
  '\u202etxt.exe\u2069',
  'constructor __proto__ toString',
];

const unhurt = async (page) => {
  equal(await page.evaluate(() => window.hurt), undefined, 'a script ran');
  equal(await page.locator('img, iframe, b, #log script').count(), 0, 'elements that others made');
};

export const cases = {
  async 'markup in texts is shown as it was written'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    for (const attack of ATTACKS) await say(bob, attack);
    for (const page of [ann, bob]) {
      await sees(page, ATTACKS.at(-1));
      equal(await texts(page), ATTACKS);
      await unhurt(page);
    }
    await shot(ann, 'attacks');
  },

  async 'markup in names, rooms and links stays text'(stage) {
    const { http } = await stage.server();
    const room = '/<img src=x onerror=window.hurt=1>';
    const ann = await stage.enter(`${http}/${encodeURIComponent(room.slice(1))}`, { name: 'ann' });
    equal(await ann.textContent('#room'), room.slice(1));
    equal(await ann.textContent('#recent bdi'), room.slice(1));
    const bob = await stage.enter(ann.url(), { name: '<img src=x onerror=hurt=1>' });
    await say(bob, 'who am I?');
    await sees(ann, 'who am I?');
    equal(await ann.textContent('.row .name'), '<img src=x onerror=hurt=1>');
    await present(ann, 'ann', '<img src=x onerror=hurt=1>');
    await bob.click('#self');
    await bob.fill('#name', '</bdi><b>b');
    await bob.press('#name', 'Enter');
    await ann.waitForSelector('.notice:has-text("</bdi><b>b")');
    await ann.fill('#where', '"><script>hurt=1</script>');
    await ann.press('#where', 'Enter');
    await connected(ann);
    equal(await ann.textContent('#room'), '"><script>hurt=1</script>');
    for (const page of [ann, bob]) await unhurt(page);
  },

  async 'a room whose name looks like another host stays in this one'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    await ann.fill('#where', '//example.org/x');
    await ann.press('#where', 'Enter');
    await connected(ann);
    equal(await ann.textContent('#room'), '/example.org/x');
    equal(await ann.$$eval('#recent a', (all) => all.map(({ href }) => href)), [`${http}//example.org/x`, `${http}/tea`]);
    await ann.fill('#where', '/a/../../b/./c');
    await ann.press('#where', 'Enter');
    await ann.waitForURL(`${http}/b/c`);
    equal(await ann.textContent('#room'), 'b/c');
  },

  async 'a name that nobody can have is refused once, and not asked for again'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    await ann.click('#self');
    await ann.fill('#name', 'a\u202eb');
    await ann.press('#name', 'Enter');
    await toasted(ann, 'Nobody can have this name');
    await present(ann, 'ann');
    equal(await ann.evaluate(() => localStorage.getItem('hushd.name')), '""');
  },

  async 'only http and https become links, and they open safely'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const cases = [
      ['see https://example.org/a?b=c#d, then', ['https://example.org/a?b=c#d']],
      ['(https://example.org/wiki/Tea_(drink)) and (https://example.org/x)', ['https://example.org/wiki/Tea_(drink)', 'https://example.org/x']],
      ['HTTP://EXAMPLE.ORG。', ['http://example.org/']],
      ['https://例え.jp/お茶', ['https://xn--r8jz45g.jp/%E3%81%8A%E8%8C%B6']],
      ['two http://a.example http://b.example!', ['http://a.example/', 'http://b.example/']],
      ['javascript:window.hurt=1 JaVaScRiPt:hurt=1 data:text/html,<script>hurt=1</script> vbscript:x file:///etc/passwd', []],
      ['https:// http:/x https://[ ftp://x', []],
      ['https://example.org/"onclick="hurt=1 https://example.org/<script>', ['https://example.org/', 'https://example.org/']],
      ['https://example.org/\u202egpj.exe', ['https://example.org/']],
      ['（https://example.org/茶）。 **https://example.org/x** [https://example.org/y]', ['https://example.org/%E8%8C%B6', 'https://example.org/x', 'https://example.org/y']],
    ];
    for (const [text, links] of cases) {
      await say(ann, text);
      await sees(ann, text);
      equal(await ann.$$eval('.row .text', (all) => [...all.at(-1).querySelectorAll('a')].map(({ href }) => href)), links, text);
    }
    equal(await ann.$$eval('#log a', (all) => all.filter(({ rel, target }) => !/noopener/.test(rel) || !/noreferrer/.test(rel) || target !== '_blank').length), 0);
    await unhurt(ann);
  },

  async 'no message takes long to look through for links'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    for (const tail of [')'.repeat(60_000), `${'.'.repeat(60_000)}a`, '.)'.repeat(30_000)]) {
      await say(ann, `https://example.org/${tail}`);
      await sees(ann, `https://example.org/${tail}`);
    }
  },

  async 'the policy lets nothing else run'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const policy = await ann.evaluate(async () => {
      const violations = [];
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'window.hurt = 1';
      document.body.append(script);
      const image = document.createElement('img');
      image.setAttribute('onerror', 'window.hurt = 1');
      image.src = 'http://127.0.0.2/x';
      document.body.append(image);
      for (let n = 0; n < 600 && violations.length < 3; n++) await new Promise((resume) => setTimeout(resume, 100));
      script.remove();
      image.remove();
      return violations.sort();
    });
    equal(policy, ['img-src', 'script-src-attr', 'script-src-elem']);
    equal(await ann.evaluate(() => window.hurt), undefined);
    stage.forgive(/Content Security Policy/);
  },

  async 'what is too long to send stays in the box'(stage) {
    const { http } = await stage.server();
    const ann = await stage.enter(`${http}/tea`, { name: 'ann' });
    const bob = await stage.enter(`${http}/tea`, { name: 'bob' });
    const long = '茶'.repeat(21_000);
    await ann.fill('#text', long + '茶'.repeat(2000));
    await ann.waitForSelector('#hint:has-text("Too long")');
    equal(await ann.isDisabled('#send'), true);
    await ann.press('#text', 'Enter');
    await pause(200);
    equal(await texts(ann), []);
    await say(ann, long);
    await sees(ann, long);
    await bob.waitForFunction(() => document.querySelectorAll('#rows .text').length === 1);
    await shot(bob, 'very-long');
  },
};
