// What a case plays with: servers that can be restarted, lines that can go dead, windows of the chat.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv/dist/2020.js';
import { chromium } from 'playwright-core';

const FLAGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const PATIENCE = 60_000; // ms for whatever must come: a loaded machine may be slow, but not wrong
export const PAGE_FILE = new URL('../../client.html', import.meta.url).href;

const schema = JSON.parse(fs.readFileSync(new URL('../../docs/chat.v1.schema.json', import.meta.url)));
const ajv = new Ajv({ strict: true, strictRequired: false });
ajv.addSchema(schema);
const valid = {
  framereceived: ajv.getSchema(`${schema.$id}#/$defs/server`),
  framesent: ajv.getSchema(`${schema.$id}#/$defs/client`),
};

export class Stage {
  #browser;
  #servers = [];
  #lines = [];
  #contexts = [];
  #complaints = [];
  frames = 0;

  constructor(browser) {
    this.#browser = browser;
  }

  static browser() {
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS.split(' ') });
  }

  async server(...options) {
    const server = new Server(await freePort(), options);
    this.#servers.push(server);
    await server.start();
    return server;
  }

  /** A way to the server that can go dead without a word. */
  async line(server) {
    const line = new Line(server.port);
    this.#lines.push(line);
    await line.open();
    return line;
  }

  /** Somebody with a browser of their own. */
  async person({ name, ...options } = {}) {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
    this.#contexts.push(context);
    context.setDefaultTimeout(PATIENCE);
    if (name) {
      await context.addInitScript((name) => {
        if (!localStorage.getItem('hushd.name')) localStorage.setItem('hushd.name', JSON.stringify(name));
      }, name);
    }
    return context;
  }

  /** A window of the chat at this address, connected. */
  async enter(url, who = {}) {
    const context = typeof who.newPage === 'function' ? who : await this.person(who);
    const page = await context.newPage();
    this.#listen(page);
    await page.goto(url);
    await connected(page);
    return page;
  }

  /** A window without the chat, from which scripts of ours talk to a server. */
  async blank(url = new URL('plain.html', import.meta.url).href) {
    const page = await (await this.person()).newPage();
    await page.goto(url);
    return page;
  }

  #listen(page) {
    page.on('pageerror', (error) => this.#complaints.push(error.stack));
    page.on('dialog', (dialog) => { this.#complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('console', (line) => {
      // What the browser says about servers that we stopped is expected.
      if (line.type() === 'error' && !/WebSocket|ERR_|Failed to load/.test(line.text())) this.#complaints.push(line.text());
    });
    page.on('websocket', (socket) => {
      let spoken = false;
      for (const event of ['framereceived', 'framesent']) {
        socket.on(event, ({ payload }) => {
          spoken ||= String(payload).startsWith('{"type":"welcome"');
          if (!spoken) return;
          this.frames += 1;
          if (!valid[event](JSON.parse(payload))) {
            this.#complaints.push(`${event} ${payload}\n${ajv.errorsText(valid[event].errors)}`);
          }
        });
      }
    });
  }

  /** Complaints like this were asked for. */
  forgive(pattern) {
    this.#complaints = this.#complaints.filter((complaint) => !pattern.test(complaint));
  }

  /** No script failed, and no frame was other than the schema says. */
  verify() {
    if (this.#complaints.length) throw new Error(this.#complaints.slice(0, 5).join('\n'));
  }

  async shoot(name) {
    let n = 0;
    for (const page of this.#contexts.flatMap((context) => context.pages())) {
      await shot(page, `${name}-${++n}`).catch(() => {});
    }
  }

  async clear() {
    for (const context of this.#contexts) await context.close().catch(() => {});
    for (const line of this.#lines) line.shut();
    for (const server of this.#servers) await server.stop('SIGKILL');
  }
}

export class Server {
  #process;
  #options;
  constructor(port, options) {
    this.port = port;
    this.#options = options;
    this.http = `http://127.0.0.1:${port}`;
    this.ws = `ws://127.0.0.1:${port}`;
  }

  async start() {
    const log = fs.openSync(new URL('out/server.log', import.meta.url), 'a');
    const { HUSHD_BIN: program, ...env } = process.env; // The server would warn of HUSHD_BIN.
    this.#process = spawn(program, ['--listen', `127.0.0.1:${this.port}`, ...this.#options], { env, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    for (const started = Date.now(); Date.now() - started < PATIENCE;) {
      if (this.#process.exitCode !== null) throw new Error(`hushd ended with ${this.#process.exitCode}; see out/server.log`);
      if (await answers(this.port)) return;
      await pause(25);
    }
    throw new Error('hushd does not listen');
  }

  async stop(signal = 'SIGTERM') {
    const process = this.#process;
    if (!process || process.exitCode !== null || process.signalCode) return;
    const gone = once(process, 'exit');
    process.kill(signal);
    await gone;
  }
}

class Line {
  #port;
  #listener;
  #pairs = new Set();
  #dead = { up: false, down: false };

  constructor(port) {
    this.#port = port;
  }

  async open() {
    this.#listener = net.createServer((client) => {
      const server = net.connect(this.#port, '127.0.0.1');
      const pair = { client, server, dead: { ...this.#dead } };
      this.#pairs.add(pair);
      client.on('data', (data) => pair.dead.up || server.write(data));
      server.on('data', (data) => pair.dead.down || client.write(data));
      // A dead line carries no FIN either.
      client.on('close', () => { this.#pairs.delete(pair); if (!pair.dead.up) server.destroy(); });
      server.on('close', () => { if (!pair.dead.down) client.destroy(); });
      for (const socket of [client, server]) socket.on('error', () => {});
    });
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    this.http = `http://127.0.0.1:${this.#listener.address().port}`;
  }

  /** From now on nothing gets through: in both directions, or in one. */
  die(...directions) {
    for (const direction of directions.length ? directions : ['up', 'down']) {
      this.#dead[direction] = true;
      for (const pair of this.#pairs) pair.dead[direction] = true;
    }
  }

  /** New connections work again. The old ones stay dead. */
  heal() {
    this.#dead = { up: false, down: false };
  }

  shut() {
    this.#listener.close();
    for (const { client, server } of this.#pairs) { client.destroy(); server.destroy(); }
  }
}

/** A port that stays free while its server is away: the kernel gives those above to whoever connects to somewhere. */
async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise((resolve) => {
      const listener = net.createServer().on('error', () => resolve(false));
      listener.listen(port, '127.0.0.1', () => listener.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

export { pause };

// ---- what people do and see

export const connected = (page) => page.waitForSelector('body[data-state=open]');

/** Not for long is it only waiting, or only dialling: either may be over in a millisecond. */
export const disconnected = (page) => page.waitForSelector('body:not([data-state=open])');

/** A toast does not stay, its words do. */
export const toasted = (page, words) => page.waitForSelector(`#toast:has-text("${words}")`, { state: 'attached' });

export async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

/** A client that says so many things as fast as it may, and waits until all are heard. */
export const flood = (blank, url, count, word = 'm') => blank.evaluate(async ([url, count, word]) => {
  const socket = await talk(url, 'chat.v1');
  const heard = new Promise((resolve, reject) => {
    let n = 0;
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code} after ${n} of ${count}`));
    socket.onmessage = ({ data }) => {
      const { type, id } = JSON.parse(data);
      if (type === 'message' && id && ++n === count) resolve();
    };
  });
  for (let n = 1; n <= count; n++) {
    socket.send(JSON.stringify({ type: 'message', text: `${word}${n}`, id: `c-${n}` }));
    while (socket.bufferedAmount > 65_536) await new Promise((resume) => setTimeout(resume));
  }
  await heard;
  socket.onclose = null;
  socket.close();
}, [url, count, word]);

/** The texts in the order in which they are shown: what was heard, then what is on its way. */
export const texts = (page) => page.$$eval('#log .text', (all) => all.map((element) => element.textContent));

/** Waits until this is shown once and for all, and not a second time. */
export async function sees(page, text, times = 1) {
  await page.waitForFunction(([text, times]) => [...document.querySelectorAll('#rows .text')].filter((e) => e.textContent === text).length === times,
    [text, times]).catch(async () => {
    throw new Error(`"${text}" should be there ${times} time(s) in ${JSON.stringify((await texts(page)).slice(-20).map((text) => text.slice(0, 60)))}`);
  });
}

export const names = (page) => page.$$eval('#names bdi', (all) => all.map((element) => element.textContent).sort());

export async function present(page, ...expected) {
  await page.waitForFunction((wanted) => JSON.stringify([...document.querySelectorAll('#names bdi')].map((e) => e.textContent).sort()) === wanted,
    JSON.stringify([...expected].sort())).catch(async () => {
    throw new Error(`here should be ${expected}, but are ${await names(page)}`);
  });
}

export const shot = (page, name) => page.screenshot({ path: fileURLToPath(new URL(`out/${name}.png`, import.meta.url)) });

export function equal(actual, expected, what = '') {
  const [a, e] = [actual, expected].map((value) => JSON.stringify(value));
  if (a !== e) throw new Error(`${what}\n  is        ${a}\n  should be ${e}`);
}
