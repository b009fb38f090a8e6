// The members of the room, our own name, notices of changes.

const people = {
  names: undefined, // the names of the members, undefined in a large room and before the server told them
  count: 0,
};

function showPresence({ online, left, renamed, joined }) {
  if (!joined && !renamed) people.names = undefined; // too many for names: only their number
  if (people.names && joined) { // without it only our own name has changed, which is not announced yet
    for (const name of left) people.names.delete(name);
    for (const [was, is] of renamed) { people.names.delete(was); people.names.add(is); }
    for (const name of joined) people.names.add(name);
  }
  showPeople(online);
  // A member that has just said something needs no notice.
  noticePresence(left ?? [], renamed ?? [], (joined ?? []).filter((name) => name !== chat.name && !(Date.now() - list.spokeAt.get(name) < 5000)));
}

// All changes between two messages share one line. A member that joined and left again is not in it.
function noticePresence(left, renamed, joined) {
  if (!left.length && !renamed.length && !joined.length) return;
  drawQueue();
  const stick = list.atEnd;
  let line = $('rows').lastElementChild?.lastElementChild;
  if (!line?.matches('.notice')) {
    line = make('div', 'notice');
    line.dir = 'auto';
    line.changes = { joined: new Set(), left: new Set(), renamed: [] };
    ($('rows').lastElementChild ?? appendChunk()).append(line);
  }
  const { changes } = line;
  for (const name of left) if (!changes.joined.delete(name)) changes.left.add(name);
  for (const [was, is] of renamed) if (changes.joined.delete(was)) changes.joined.add(is); else changes.renamed.push(t('renamed', was, is));
  for (const name of joined) if (!changes.left.delete(name)) changes.joined.add(name);
  const some = (key) => {
    const all = [...changes[key]];
    return all.length ? [t(key, conjunction.format(all.length > 6 ? [...all.slice(0, 5), t('others', all.length - 5)] : all))] : [];
  };
  line.textContent = [...some('left'), ...changes.renamed, ...some('joined')].join(' · ');
  if (!line.textContent) line.remove();
  if (stick) toEnd();
}
const conjunction = new Intl.ListFormat(locale, { type: 'conjunction' });

function showPeople(online) {
  // The room announces our own arrival up to a second later.
  const names = people.names ? [...new Set(people.names).add(chat.name)] : [];
  people.count = people.names ? names.length : Math.max(online, 1);
  names.sort((a, b) => (b === chat.name) - (a === chat.name) || a.localeCompare(b, locale, { numeric: true }));
  $('names').replaceChildren(...names.map((name) => {
    const item = make('li');
    item.append(faceOf(name), make('bdi', '', name));
    if (name === chat.name) item.append(make('small', '', t('you')));
    return item;
  }));
  $('many').hidden = !!people.names;
  $('many').textContent = t('many');
  $('online').textContent = $('count').textContent = people.count.toLocaleString(locale);
  showState();
}

function showSelf() {
  const name = chat.name || store.get('name', '') || '…';
  const who = t('youAre', name);
  $('self').replaceChildren(faceOf(name));
  label($('self'), `${who} ${t('choose')}`);
  $('intro').firstChild.textContent = who;
  $('intro').hidden = chat.protocol !== 'chat.v1' || store.get('name', '') !== '';
  if (people.names) showPeople(people.count);
}

$('naming').addEventListener('beforetoggle', () => {
  $('name').value = chat.name;
  const { left: x, top: y } = $('self').getBoundingClientRect();
  $('naming').style.left = `${Math.max(12, x - 6)}px`;
  $('naming').style.bottom = `${innerHeight - y + 14}px`;
});
$('name').onfocus = () => $('name').select();
$('naming').onsubmit = (event) => {
  event.preventDefault();
  const name = $('name').value.trim().normalize();
  if (name && name !== chat.name) {
    store.set('name', name);
    chat.rename(name);
  }
  $('naming').hidePopover();
  text.focus();
};
