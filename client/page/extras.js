// Links to share, toasts, notifications, drawers and keys.

async function share() {
  const link = linkTo(room);
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    const field = make('textarea', 'sr', link);
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  toast(t('copied'));
}
$('share').onclick = $('copy').onclick = share;

let toastTimer;
function toast(words) {
  clearTimeout(toastTimer);
  $('toast').textContent = words;
  $('toast').className = 'on';
  toastTimer = setTimeout(() => { $('toast').className = ''; }, 3500);
}

const bell = $('bell');
let notifying = false;
function showBell(on) {
  notifying = on;
  bell.setAttribute('aria-pressed', on);
  store.set('notify', on);
}
if ('Notification' in window && isSecureContext) {
  bell.hidden = false;
  showBell(Notification.permission === 'granted' && store.get('notify', false));
  bell.onclick = async () => {
    if (notifying) return showBell(false);
    const granted = (await Notification.requestPermission()) === 'granted';
    showBell(granted);
    if (!granted) toast(t('denied'));
  };
}
function notify({ from, text: body }) {
  if (!notifying) return;
  try {
    const shown = new Notification(from ?? titleOf(room), { body: body ?? '', tag: server + room });
    shown.onclick = () => { focus(); shown.close(); };
  } catch { /* some phones show none for pages */ }
}

function closeDrawers() {
  for (const id of ['rooms', 'people']) if ($(id).matches(':popover-open')) $(id).hidePopover();
}
addEventListener('keydown', (event) => {
  if (event.key === 'k' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if ($('menu').checkVisibility() && !$('rooms').matches(':popover-open')) $('rooms').showPopover();
    $('where').focus();
  } else if (document.querySelector(':popover-open')) return;
  else if (event.key === 'Escape') text.focus();
  else if (/^\S$/u.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey && [document.body, log].includes(document.activeElement)) text.focus();
});
