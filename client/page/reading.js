// Reading: the scroll position, unread messages, the title, the live region.

const log = $('log');
const toEnd = () => { log.scrollTop = log.scrollHeight; list.atEnd = true; };
const isAway = () => document.hidden || !document.hasFocus();

log.addEventListener('scroll', () => {
  list.atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  loadOlder();
  markRead();
}, { passive: true });
new ResizeObserver(() => list.atEnd && toEnd()).observe(log);

function markRead() {
  if (list.atEnd && !isAway()) {
    list.unread = 0;
    if (list.newest) list.readTo = list.newest;
    else if (list.plainCount) list.readTo = list.plainCount;
  }
  const pill = $('pill');
  pill.hidden = list.atEnd;
  pill.classList.toggle('quiet', !list.unread);
  const words = list.unread ? t('news', list.unread) : t('newest');
  pill.lastChild.textContent = list.unread ? words : '';
  label(pill, words);
  showTitle();
}
addEventListener('focus', markRead);
addEventListener('visibilitychange', () => {
  if (!document.hidden) chat.reconnect();
  markRead();
});
$('pill').onclick = () => { toEnd(); $('text').focus(); };

function showTitle() {
  document.title = `${list.unread ? `(${list.unread}) ` : ''}${titleOf(room)} · hush`;
}

// Tells a screen reader the new messages, or only their number if there are many.
function announce(messages) {
  if (!messages.length) return;
  $('live').textContent = messages.length > 3 ? t('news', messages.length)
    : messages.map(({ from, text }) => (from === undefined ? text : t('said', from, text ?? ''))).join('\n');
}
