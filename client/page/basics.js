// Elements, labels, storage. Text from other people goes into the page as textContent, never as markup.

const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const label = (element, text) => {
  element.setAttribute('aria-label', text);
  if (element.matches('button')) element.title = text;
};
document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
for (const icon of document.querySelectorAll('svg')) icon.setAttribute('aria-hidden', true);
for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
for (const element of document.querySelectorAll('[data-l]')) label(element, t(element.dataset.l));
for (const element of document.querySelectorAll('[data-p]')) element.placeholder = t(element.dataset.p);

// Values kept by the browser. It may refuse, for a page from a file or in a frame: then nothing is kept.
const storedIn = (storage) => ({
  get(key, otherwise) {
    try { return JSON.parse(window[storage].getItem(`hushd.${key}`)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { window[storage].setItem(`hushd.${key}`, JSON.stringify(value)); } catch { /* not kept */ }
  },
});
const store = storedIn('localStorage'); // shared by all tabs
const tabStore = storedIn('sessionStorage'); // for this tab, across reloads
