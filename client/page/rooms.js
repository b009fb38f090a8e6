// Rooms: their addresses, entering and leaving one, the list of recent ones, the field for going to another.

const fromFile = location.protocol === 'file:';
let server = fromFile ? tabStore.get('server') ?? store.get('server', 'ws://127.0.0.1:8001') : location.origin.replace(/^http/, 'ws');
const pathOf = (room) => room.split('/').map(encodeURIComponent).join('/');
const roomInAddress = () => {
  const path = fromFile ? location.hash.slice(1) || '/' : location.pathname;
  try { return decodeURIComponent(path); } catch { return path; }
};
const titleOf = (room) => (room === '/' ? t('lobby') : room.slice(1));
const linkTo = (room) => server.replace(/^ws/, 'http') + pathOf(room);
const hrefTo = (room) => (fromFile ? '#' : location.origin) + pathOf(room);

let chat; // the connection to the room, see hushd.js
let room; // the path of the room, decoded
// What continues each room that was left (server + room -> session, draft, pending messages).
const left = new Map(Object.entries(tabStore.get('left', {})));

function enter(next) {
  leave();
  room = next;
  const { draft = '', pending = [], ...saved } = left.get(server + room) ?? {};
  left.delete(server + room);
  reset(saved.since);
  chat = connect(server + pathOf(room), { ...saved, name: saved.name || store.get('name', '') });
  const listen = (type, listener) => chat.on(type, listener);
  listen('state', showState);
  listen('welcome', onWelcome);
  listen('message', onMessage);
  listen('accepted', ({ id, seq }) => outgoing.has(id) && onMessage({ ...outgoing.get(id), seq, time: Date.now() }));
  listen('history', onHistory);
  listen('presence', showPresence);
  listen('who', ({ names, online }) => { people.names = names && new Set(names); showPeople(online); });
  listen('name', showSelf);
  listen('error', ({ code, message }) => {
    list.loading = false;
    if (code === 'bad_name') store.set('name', '');
    toast(WORDS[lang][code] ?? message);
  });
  for (const { id, text } of pending) sendText(text, id);
  $('text').value = draft;
  $('room').textContent = titleOf(room);
  $('text').placeholder = t('write', titleOf(room));
  updateRecent();
  showSelf();
  showState();
  showTitle();
  onInput();
  if (matchMedia('(pointer: fine)').matches) $('text').focus();
}

function leave() {
  if (!chat) return;
  drawQueue();
  left.set(server + room, { ...chat.save(), draft: $('text').value });
  updateRecent(true);
  chat.close();
  $('bar').hidden = true;
}

function visit(next) {
  if (next === room) return;
  history.pushState(null, '', hrefTo(next));
  enter(next);
}

// The list of recent rooms. Each entry has the number of the last message read, so that the mark of what is new is right next time.
function updateRecent(leaving) {
  const rooms = store.get('rooms', []);
  const found = rooms.find((entry) => entry.server === server && entry.room === room);
  const entry = found ?? { server, room };
  if (!found) rooms.unshift(entry);
  if (leaving && list.epoch) entry.read = `${list.epoch}.${list.readTo}`;
  store.set('rooms', rooms.slice(0, 20));
  if (!leaving) showRooms(rooms);
}

function showRooms(rooms = store.get('rooms', [])) {
  $('recent').replaceChildren(...rooms.filter((entry) => entry.server === server).map((entry) => {
    const item = make('li');
    const link = make('a');
    const current = entry.room === room;
    link.href = hrefTo(entry.room);
    link.title = entry.room;
    link.append(make('bdi', '', titleOf(entry.room)));
    if (current) link.setAttribute('aria-current', 'page');
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      closeDrawers();
      visit(entry.room);
    };
    item.append(link);
    if (current) return item;
    const remove = make('button');
    label(remove, t('forget', titleOf(entry.room)));
    remove.append(cross.cloneNode(true));
    remove.onclick = () => {
      store.set('rooms', store.get('rooms', []).filter((other) => other.server !== server || other.room !== entry.room));
      showRooms();
      $('where').focus();
    };
    item.append(remove);
    return item;
  }));
}

const cross = (() => {
  const svg = $('pill').firstChild.cloneNode(true);
  svg.firstChild.setAttribute('d', 'M6 6l12 12M18 6L6 18');
  return svg;
})();

$('go').onsubmit = (event) => {
  event.preventDefault();
  let next = $('where').value.trim();
  if (!next) return;
  if (/^https?:\/\//.test(next) && URL.canParse(next)) {
    const url = new URL(next);
    if (url.host !== new URL(server).host) return void (fromFile || location.assign(url));
    try { next = decodeURIComponent(url.pathname); } catch { next = url.pathname; }
  }
  if (!next.startsWith('/')) next = '/' + next;
  next = decodeURIComponent(new URL(server + pathOf(next)).pathname); // without . and ..
  if (new TextEncoder().encode(next).length > 128) return toast(t('badRoom'));
  $('where').value = '';
  closeDrawers();
  visit(next);
};
$('serve').hidden = !fromFile;
$('server').value = server;
$('serve').onsubmit = (event) => {
  event.preventDefault();
  const typed = $('server').value.trim().replace(/^http/, 'ws');
  const address = /^wss?:\/\//.test(typed) ? typed : `ws://${typed}`;
  if (!URL.canParse(address)) return toast(t('badServer'));
  leave();
  chat = undefined;
  $('server').value = server = address.replace(/\/+$/, '');
  for (const keep of [store, tabStore]) keep.set('server', server);
  closeDrawers();
  enter(room);
};
addEventListener('popstate', () => roomInAddress() !== room && enter(roomInAddress()));
