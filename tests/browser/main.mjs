// Runs all cases, one after the other, each with servers, proxies and browser windows of its own.

import fs from 'node:fs';
import { Stage } from './stage.mjs';

const wanted = process.argv.slice(2);
const modules = ['talk', 'trouble', 'scale', 'safety', 'looks'];
fs.mkdirSync(new URL('out/', import.meta.url), { recursive: true });

const browser = await Stage.browser();
let passed = 0;
let failed = 0;
for (const module of modules) {
  const { cases } = await import(`./cases/${module}.mjs`);
  for (const [name, play] of Object.entries(cases)) {
    if (wanted.length && !wanted.some((word) => name.includes(word) || module === word)) continue;
    const stage = new Stage(browser);
    const started = Date.now();
    try {
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('not over after ten minutes')), 600_000);
      });
      await Promise.race([play(stage), late]).finally(() => clearTimeout(timer));
      stage.verify();
      passed += 1;
      console.log(`ok      ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, '        ')}`);
      await stage.shoot(`failed-${failed}`);
    } finally {
      await stage.clear();
    }
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
