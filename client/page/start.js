// The start of the page, and its end.

// A reload continues the same session. The session is written down only when the page goes away, so that a
// duplicate of this tab does not find it and take this tab's place.
tabStore.set('left', {});
addEventListener('pagehide', () => {
  leave();
  tabStore.set('left', Object.fromEntries(left));
});
addEventListener('pageshow', ({ persisted }) => {
  if (!persisted) return;
  tabStore.set('left', {});
  enter(roomInAddress());
});

enter(roomInAddress());
