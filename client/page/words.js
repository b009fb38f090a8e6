// The words of the page in its languages, and the language of this browser.

const WORDS = {
  en: {
    rooms: 'Rooms', goTo: 'Go to a room', recent: 'Recent', server: 'Server', people: 'People here', here: 'Here now',
    messages: 'Messages', message: 'Message', send: 'Send', share: 'Copy link to this room', copyLink: 'Copy link', copied: 'Link copied',
    notify: 'Notifications', denied: 'Notifications are blocked in the browser’s settings', lobby: 'Lobby', forget: 'Forget {0}', you: 'you', youAre: 'You are {0}.', choose: 'Choose a name',
    quiet: 'It is quiet in here', invite: 'Say something, or share the link to invite others.', yourName: 'Your name', save: 'Save',
    write: 'Message {0}', connecting: 'Connecting…', open: 'Connected', count: '{0} here', closed: 'Not connected',
    lost: 'Connection lost.', silent: '{0} does not answer.', offline: 'You are offline.', soon: 'Trying again…', wait: 'Trying again in {0} s', now: 'Try now',
    replaced: 'This chat went on in another tab.', takeOver: 'Continue here', older: 'Loading earlier messages…', start: 'This is as far back as it goes',
    fresh: 'New', news: '1 new message|{0} new messages', newest: 'To the newest', sending: 'Sending…', kept: 'Waiting for the connection',
    unknown: 'Perhaps not delivered', refused: 'Not sent: {0}', too_large: 'Too long to send', retry: 'Send again', discard: 'Discard', bad_name: 'Nobody can have this name',
    joined: '{0} joined', left: '{0} left', others: '1 other|{0} others', renamed: '{0} is now {1}', many: 'Too many people to list by name.', badRoom: 'The name of this room is too long',
    bytes: '{0} of data', omitted: 'A message of {0}, too large to show', said: '{0}: {1}', badServer: 'A server address looks like ws://127.0.0.1:8001',
  },
  zh: {
    rooms: '房间', goTo: '进入房间', recent: '最近', server: '服务器', people: '在线成员', here: '当前在线',
    messages: '消息', message: '消息', send: '发送', share: '复制房间链接', copyLink: '复制链接', copied: '链接已复制',
    notify: '通知', denied: '浏览器设置中已阻止通知', lobby: '大厅', forget: '移除 {0}', you: '你', youAre: '你是 {0}。', choose: '改个名字',
    quiet: '这里很安静', invite: '说点什么，或分享链接邀请别人。', yourName: '你的名字', save: '保存',
    write: '在 {0} 中发言', connecting: '正在连接…', open: '已连接', count: '{0} 人在线', closed: '未连接',
    lost: '连接已断开。', silent: '{0} 没有响应。', offline: '你已离线。', soon: '正在重试…', wait: '{0} 秒后重试', now: '立即重试',
    replaced: '聊天已在另一个标签页中继续。', takeOver: '在此继续', older: '正在加载更早的消息…', start: '没有更早的消息了',
    fresh: '新消息', news: '{0} 条新消息', newest: '回到最新', sending: '发送中…', kept: '等待连接',
    unknown: '可能未送达', refused: '未发送：{0}', too_large: '内容过长，无法发送', retry: '重新发送', discard: '放弃', bad_name: '这个名字不可用', busy: '请稍候',
    joined: '{0} 加入了', left: '{0} 离开了', others: '另外 {0} 人', renamed: '{0} 改名为 {1}', many: '人数过多，不逐一列出。', badRoom: '房间名过长',
    bytes: '{0} 数据', omitted: '一条 {0} 的消息，过大无法显示', said: '{0}：{1}', badServer: '服务器地址形如 ws://127.0.0.1:8001',
  },
};
const lang = navigator.language.startsWith('zh') ? 'zh' : 'en';
const locale = lang === 'zh' ? 'zh-CN' : navigator.language.startsWith('en') ? navigator.language : 'en-GB';
const t = (key, ...args) => {
  const [one, many = one] = WORDS[lang][key].split('|');
  return (args[0] === 1 ? one : many).replace(/\{(\d)\}/g, (_, n) => (typeof args[n] === 'number' ? args[n].toLocaleString(locale) : args[n]));
};

