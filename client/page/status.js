// The state of the connection, in words.

const trouble = { since: 0, timer: undefined }; // since when there is no connection, 0 if there is one

function showState() {
  const { state, until } = chat;
  document.body.dataset.state = state;
  clearTimeout(trouble.timer);
  if (state !== 'open') list.loading = false;
  const words = state === 'open' ? (chat.protocol === 'chat.v1' && people.count ? t('count', people.count) : t('open'))
    : state === 'connecting' ? t('connecting') : t('closed');
  if ($('status').textContent !== words) $('status').textContent = words;
  if (state !== 'open') noteBelowPending('kept');
  if (state === 'open') { $('bar').hidden = true; trouble.since = 0; return; }
  trouble.since ||= Date.now();
  const rest = Math.ceil((until - Date.now()) / 1000);
  const replaced = state === 'closed';
  // A short interruption is not shown.
  $('bar').hidden = !replaced && Date.now() - trouble.since < 1200;
  const how = rest > 0 ? t('wait', rest) : t('soon');
  $('trouble').textContent = replaced ? t('replaced')
    : `${t(navigator.onLine ? (list.epoch || list.plainCount ? 'lost' : 'silent') : 'offline', new URL(server).host)} ${how}`;
  $('again').textContent = t(replaced ? 'takeOver' : 'now');
  $('again').hidden = state === 'connecting';
  if (!replaced) trouble.timer = setTimeout(showState, 250);
}

$('again').onclick = () => {
  if (chat.state !== 'closed') return chat.reconnect();
  enter(room);
};
addEventListener('offline', () => { chat.reconnect(); showState(); });
