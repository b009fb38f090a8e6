// One message as a row: its text with links, the face and colour of its sender, its time.

function rowOf(said) {
  const row = make('div', 'row' + (said.own ? ' own' : '') + (said.from === undefined ? ' plain' : ''));
  row.said = said;
  const body = make('div', 'said');
  const head = make('div', 'head');
  if (said.from !== undefined) {
    const name = make('bdi', 'name', said.own ? t('you') : said.from);
    name.style.setProperty('--h', hueOf(said.from));
    head.append(name);
    if (!said.own) row.append(faceOf(said.from));
  }
  const time = make('time', '', clock.format(said.time));
  time.dateTime = new Date(said.time).toISOString();
  time.title = moment.format(said.time);
  head.append(time);
  body.append(head, textOf(said));
  row.append(body);
  return row;
}

function textOf(said) {
  const text = make('div', 'text');
  text.dir = 'auto';
  if (typeof said.text === 'string') {
    text.append(...linked(said.text));
    if (isEmoji(said.text)) text.classList.add('big');
    return text;
  }
  text.classList.add('data');
  const bytes = said.size ?? said.text?.size ?? Math.floor((said.base64?.length ?? 0) * 0.75);
  text.textContent = t(said.size ? 'omitted' : 'bytes', size(bytes));
  return text;
}

const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

// Only http and https addresses become links, and the link shows the address as it was written.
const URLS = /https?:\/\/[^\s<>"'`\p{Cc}\p{Cf}]+/giu;
const TRAIL = '.,:;!?…*]}”’»，。；：！？、）】》」』';
function* linked(text) {
  let end = 0;
  for (const { 0: found, index } of text.matchAll(URLS)) {
    let stop = found.length;
    // A closing parenthesis at the end belongs to the address if it was opened in it.
    let unopened = found.split(')').length - found.split('(').length;
    while (TRAIL.includes(found[stop - 1]) || (found[stop - 1] === ')' && unopened-- > 0)) stop--;
    const href = found.slice(0, stop);
    if (!URL.canParse(href)) continue;
    if (index > end) yield document.createTextNode(text.slice(end, index));
    const link = make('a', '', href);
    link.href = href;
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    yield link;
    end = index + href.length;
  }
  if (end < text.length) yield document.createTextNode(text.slice(end));
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|[\u200d\ufe0f\s])+$/u;
const isEmoji = (text) => text.length <= 60 && EMOJI.test(text) && [...graphemes.segment(text.replace(/\s/g, ''))].length <= 6;

function hueOf(name) {
  let hash = 2166136261;
  for (const unit of name) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619);
  return (hash >>> 0) % 360;
}

function faceOf(name) {
  const face = make('span', 'face', initials(name));
  face.setAttribute('aria-hidden', 'true');
  face.style.setProperty('--h', hueOf(name));
  return face;
}

function initials(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const first = (word = '') => [...graphemes.segment(word)][0]?.segment ?? '';
  const one = first(words[0] ?? name);
  return (/^\p{L}/u.test(one) && !/^\p{Script=Han}/u.test(one) && words.length > 1 ? one + first(words.at(-1)) : one).toLocaleUpperCase();
}

const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long', month: 'long', day: 'numeric' });
const someDay = new Intl.DateTimeFormat(locale, { dateStyle: 'long' });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
const dayOf = (time) => new Date(time).setHours(0, 0, 0, 0);
function dayName(time) {
  const days = Math.round((dayOf(Date.now()) - dayOf(time)) / 864e5);
  if (days < 2) return ((name) => name[0].toLocaleUpperCase() + name.slice(1))(relative.format(-days, 'day'));
  return (days < 300 ? weekday : someDay).format(time);
}
