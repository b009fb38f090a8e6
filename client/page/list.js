// The list of messages: rows in chunks. The browser need not lay out a chunk that is out of sight.

const CHUNK = 50; // rows
const CHUNKS = 240; // older ones are taken out at the top; history brings them back
const BURST = 5 * 60_000; // ms in which the messages of one person form one group

// What is shown of the room, and how far the connection got. `reset` begins anew for another room.
const initialList = (newest = 0) => ({
  epoch: undefined, // the epoch that the numbers below belong to
  newest, // number of the newest message shown
  oldest: newest && newest + 1, // all from this number on is shown, or on its way
  replayEnd: 0, // number of the newest message at the time of the welcome: later ones are live
  gapAfter: 0, // messages after this number and before `gapChunk` are missing, 0 if none are
  gapChunk: undefined, // the chunk above which history goes, if not above all
  more: false, // whether the server may have older messages
  loading: false, // whether history was asked for
  lastRow: undefined,
  queue: [], // messages that arrived and are not drawn yet
  readTo: Infinity, // number of the last message read
  unread: 0,
  atEnd: true, // whether the reader is at the end, and new messages scroll into view
  plainCount: 0, // messages of a plain connection, which carry no number
  spokeAt: new Map(), // name -> time of the last message
});
let list = initialList();
const outgoing = new Map(); // id -> our message that is not acknowledged, with its row
const marker = make('div', 'news', t('fresh'));

function reset(since) {
  list = initialList(Number(since?.split('.')[1]) || 0);
  people.names = undefined;
  outgoing.clear();
  marker.remove();
  for (const id of ['rows', 'outgoing', 'names']) $(id).replaceChildren();
  for (const id of ['older', 'empty', 'pill']) $(id).hidden = true;
  $('log').scrollTop = 0;
}

function onWelcome(frame) {
  document.body.dataset.protocol = chat.protocol === 'chat.v1' ? 'chat.v1' : 'plain';
  showSelf();
  noteBelowPending('sending');
  if (chat.protocol !== 'chat.v1') return void drawReplay();
  list.replayEnd = frame.seq;
  if (!frame.resumed) {
    // Messages are missing before those that follow: a new part of the list begins, and history fills the gap.
    list.gapAfter = frame.epoch === list.epoch ? list.newest : 0;
    if (list.lastRow) list.gapChunk = appendChunk();
    list.oldest = frame.seq + 1;
  }
  if (!list.epoch) {
    const entry = store.get('rooms', []).find((entry) => entry.server === server && entry.room === room);
    const [readEpoch, seq] = entry?.read?.split('.') ?? [];
    list.readTo = readEpoch === frame.epoch ? +seq : frame.resumed ? list.oldest - 1 : frame.seq;
  } else if (list.epoch !== frame.epoch) {
    list.readTo = 0; // the numbers of another epoch mean nothing in this one
    if (list.lastRow) list.lastRow.said.seq = 0;
  }
  list.epoch = frame.epoch;
  list.more = list.oldest > 1;
  chat.sendFrame({ type: 'who' });
  setTimeout(drawReplay, 300, chat);
}

function drawReplay(of = chat) {
  if (of !== chat) return;
  drawQueue();
  loadOlder();
}

function onMessage(message) {
  if (!list.queue.length) setTimeout(drawQueue, document.hidden ? 200 : 16);
  list.queue.push(message);
}

function drawQueue() {
  const batch = list.queue;
  list.queue = [];
  if (!batch.length) return showEmpty();
  const stick = list.atEnd;
  const away = isAway();
  const strangers = [];
  for (const message of batch) {
    outgoing.get(message.id)?.row.remove();
    if (message.own) outgoing.delete(message.id);
    message.seq ??= ++list.plainCount;
    const live = message.seq > list.replayEnd;
    if (live && !away && stick) list.readTo = message.seq;
    if (!message.own && message.seq > list.readTo) list.unread++;
    if (live && !message.own) {
      strangers.push(message);
      if (list.spokeAt.size > 1000) list.spokeAt.clear();
      list.spokeAt.set(message.from, Date.now());
    }
    list.newest = message.seq;
    if (!list.oldest || message.seq < list.oldest) list.oldest = message.seq;
    appendRow(message, live && batch.length < 20);
  }
  const chunks = $('rows').children;
  while (chunks.length > (stick ? CHUNKS : 3 * CHUNKS)) {
    if (chunks[0] === list.gapChunk) list.gapChunk = undefined, list.gapAfter = 0;
    chunks[0].remove();
    list.oldest = chunks[0].querySelector('.row')?.said.seq ?? list.oldest;
    list.more = true;
  }
  if (stick) toEnd();
  announce(strangers);
  if (away && strangers.length) notify(strangers.at(-1));
  markRead();
  showEmpty();
}

function appendRow(message, fresh) {
  let chunk = $('rows').lastElementChild;
  if (!chunk || chunk.childElementCount >= CHUNK) chunk = appendChunk();
  const row = rowOf(message);
  if (fresh) row.classList.add('fresh');
  chunk.append(row);
  decorate(row, list.lastRow);
  list.lastRow = row;
}

function appendChunk() {
  const chunk = make('div', 'chunk');
  $('rows').append(chunk);
  return chunk;
}

// Older messages go above those that follow them, and the scroll position stays where the reader is.
function onHistory({ messages, more: further }) {
  list.loading = false;
  const known = messages.filter(({ seq }) => seq < list.oldest && seq > list.gapAfter);
  const first = messages[0]?.seq ?? 0;
  list.more = further && first > list.gapAfter + 1;
  if (first) list.oldest = Math.min(list.oldest, first);
  const log = $('log');
  const fromEnd = log.scrollHeight - log.scrollTop;
  const before = list.gapChunk ?? $('rows').firstElementChild;
  let previous = lastRowBefore(before);
  const chunks = [];
  for (const message of known) {
    if (chunks.length === 0 || chunks.at(-1).childElementCount >= CHUNK) chunks.push(make('div', 'chunk'));
    const row = rowOf(message);
    chunks.at(-1).append(row);
    decorate(row, previous);
    previous = row;
  }
  if (before) before.before(...chunks);
  else $('rows').append(...chunks);
  list.lastRow ??= previous;
  list.gapChunk = chunks[0] ?? list.gapChunk;
  const next = before?.querySelector('.row');
  if (next) decorate(next, previous);
  if (list.gapAfter && first <= list.gapAfter + 1) {
    // The gap is closed. The next history goes above all that is shown.
    list.gapChunk = undefined;
    list.gapAfter = 0;
    list.oldest = $('rows').querySelector('.row').said.seq;
    list.more = list.oldest > 1;
  }
  $('older').textContent = t('start');
  $('older').hidden = list.more || !list.lastRow;
  log.scrollTop = log.scrollHeight - fromEnd;
  showEmpty();
  loadOlder();
}

function lastRowBefore(chunk) {
  for (let c = chunk?.previousElementSibling; c; c = c.previousElementSibling) {
    const row = [...c.querySelectorAll('.row')].at(-1);
    if (row) return row;
  }
}

function loadOlder() {
  if (list.loading || !list.more || $('log').scrollTop > 800) return;
  list.loading = chat.sendFrame({ type: 'history', before: list.oldest, limit: CHUNK });
  if (!list.loading) return;
  $('older').textContent = t('older');
  $('older').hidden = false;
}

// Sets what a row shows because of the row before it: the line of a new day, the mark of what is new, a new group.
function decorate(row, previous) {
  const { said } = row;
  const before = previous?.said;
  const day = dayOf(said.time);
  const newDay = !before || dayOf(before.time) !== day;
  const dayRow = row.previousElementSibling;
  if (dayRow?.matches('.day') && !newDay) dayRow.remove();
  else if (!dayRow?.matches('.day') && newDay) {
    const line = make('div', 'day', dayName(said.time));
    line.time = said.time;
    row.before(line);
    // A line that says Today may have been written yesterday.
    for (const other of $('rows').querySelectorAll('.day')) other.textContent = dayName(other.time);
  }
  const stopped = before ? before.seq <= list.readTo : said.seq === list.readTo + 1;
  const isNew = stopped && said.seq > list.readTo && !said.own;
  if (isNew) row.before(marker);
  const interrupted = row.previousElementSibling !== previous && row.previousElementSibling;
  const follows = !newDay && !interrupted && before.member === said.member && before.from === said.from && before.own === said.own;
  row.classList.toggle('first', !follows || said.time - before.time > BURST);
}

function showEmpty() {
  const empty = !list.lastRow && !outgoing.size && chat.state === 'open' && !list.loading && !list.more;
  $('empty').hidden = !empty;
}
