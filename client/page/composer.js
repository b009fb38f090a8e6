// Writing: the composer, messages under way, messages that failed.

const text = $('text');
const hasText = () => text.value.trim() !== '';

function onInput() {
  if (!CSS.supports('field-sizing', 'content')) {
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight}px`;
  }
  const fits = chat.fits(text.value);
  $('hint').textContent = fits ? '' : t('too_large');
  $('send').disabled = !hasText() || !fits;
}
text.oninput = onInput;
text.onkeydown = (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    $('composer').requestSubmit();
  } else if ((event.key === 'PageUp' || event.key === 'PageDown') && !text.value.includes('\n')) {
    event.preventDefault();
    log.scrollBy(0, (event.key === 'PageUp' ? -0.85 : 0.85) * log.clientHeight);
  }
};
$('composer').onsubmit = (event) => {
  event.preventDefault();
  if (!hasText() || !chat.fits(text.value)) return;
  const words = text.value.trimEnd().replace(/^\s*\n/, '');
  text.value = '';
  onInput();
  marker.remove();
  toEnd();
  sendText(words);
  text.focus();
};

function sendText(words, id = crypto.getRandomValues(new Uint32Array(3)).join('-')) {
  showPending(id, words);
  const { row } = outgoing.get(id);
  const of = chat;
  chat.send(words, id).catch(({ code, message }) => {
    if (of === chat && outgoing.has(id)) showFailed(id, words, row, code, message);
  });
}

function showPending(id, words) {
  const row = rowOf({ own: true, text: words, time: Date.now(), from: chat.protocol === 'chat.v1' ? chat.name : undefined });
  row.classList.add('pending');
  row.classList.toggle('first', !$('outgoing').lastChild?.matches('.pending'));
  noteBelow(row, t(chat.state === 'open' ? 'sending' : 'kept'));
  outgoing.set(id, { id, text: words, row, own: true, from: chat.name, member: chat.member });
  $('outgoing').append(row);
  if (list.atEnd) toEnd();
  showEmpty();
}

// The line below one of our messages that says what became of it.
function noteBelow(row, words, ...buttons) {
  let line = row.querySelector('.under');
  if (!line) row.querySelector('.said').append((line = make('div', 'under')));
  line.replaceChildren(words, ...buttons);
}

function noteBelowPending(key) {
  for (const { row } of outgoing.values()) if (row.matches('.pending')) noteBelow(row, t(key));
}

function showFailed(id, words, row, code, message) {
  row.classList.replace('pending', 'failed');
  const again = make('button', 'text-button', t('retry'));
  const discard = make('button', 'text-button', t('discard'));
  const remove = () => { row.remove(); outgoing.delete(id); text.focus(); showEmpty(); };
  again.onclick = () => { remove(); sendText(words); };
  discard.onclick = remove;
  const why = code === 'unknown' || code === 'too_large' ? t(code) : t('refused', message);
  noteBelow(row, why, again, discard);
  $('live').textContent = why;
  if (list.atEnd) toEnd();
}
