// Types of hushd.js: one room of a hushd server, kept open.

/** Opens the room at `url` (`ws://host/tea`) and keeps it open until `close()`. */
export function connect(url: string | URL, options?: Options): Room;

export interface Options extends Partial<Saved> {
  /** What to offer, best first. Without `chat.v1` among them all is plain text. */
  protocols?: string[];
  /** The longest wait before the first new try, in ms; it doubles with each (500). */
  slot?: number;
  /** The longest wait of all, in ms (30,000). */
  cap?: number;
  /** Where there is no global one, such as that of the package `ws`. */
  WebSocket?: new (url: URL, protocols: string[]) => WebSocket;
}

/** Where a room was left. As options of the next `connect` it goes on there, as the same member. */
export interface Saved {
  /** The wish for a name; without it one is a guest. */
  name?: string;
  /** A secret: whoever has it is us. */
  session?: string;
  /** `EPOCH.SEQ` of the last message heard. */
  since?: string;
  /** What was said and not acknowledged; it is said again under the same id, and heard once. */
  pending: { id: string; text: string }[];
}

export interface Room {
  /** `closed` after `close()`, or once another connection took over our session. */
  readonly state: 'connecting' | 'open' | 'waiting' | 'closed';
  /** While waiting: when the next try comes, in ms since 1970. */
  readonly until: number;
  /** What the server chose. On the plain ones, `chat` and none, there are no names, acknowledgements are guessed
   *  from the echo, and only `state`, `welcome` and `message` happen. */
  readonly protocol: 'chat.v1' | 'chat' | '';
  /** What the room calls us. */
  readonly name: string;
  /** Our number in this room, for as long as the session lives. */
  readonly member: number;

  /** Calls `listener` for each event of this type, in order. Gives back what takes it off again. */
  on<T extends keyof Events>(type: T, listener: (event: Events[T]) => void): () => boolean;

  /** Says `text`, now or when we can, across any number of reconnects. Resolves with the id once the room has heard
   *  it; rejects with an error whose `code` is one of `Failure`. Half a character (an emoji that was cut) is said as
   *  U+FFFD. */
  send(text: string, id?: string): Promise<string>;

  /** Gives up a message not acknowledged; it may have been heard all the same. */
  forget(id: string): void;

  /** Sends any other frame of docs/protocol.md. False if we cannot just now. */
  tell(frame: { type: 'who' } | { type: 'history'; before?: number; limit?: number } | { type: string }): boolean;

  /** Asks for a name, now or when we can, and again if the connection breaks first; a `name` event tells which one we
   *  got. */
  rename(name: string): void;

  /** Whether `text` is small enough for a message here, under an id of usual length or this one. */
  fits(text: string, id?: string): boolean;

  /** Dials now, not later; asks an open connection whether it is alive. */
  nudge(): void;

  /** The options with which another `connect` goes on where this one stands. */
  save(): Saved;

  /** Leaves. What is pending stays so, and `save()` tells it. */
  close(): void;
}

/** The server's error codes, and our own: `too_large` for here, `unknown` if a plain connection was lost before the
 *  echo, `forgotten` by `forget()`. */
export type Failure = ErrorCode | 'too_large' | 'unknown' | 'forgotten';
export type ErrorCode = 'bad_request' | 'unknown_type' | 'unsupported' | 'bad_name' | 'busy';

export interface Events {
  /** `code` and `reason` are those of the close, if there was one. */
  state: { state: Room['state']; code?: number; reason?: string };
  welcome: Welcome;
  message: Message;
  name: string;
  presence: { online: number; left?: string[]; renamed?: [string, string][]; joined?: string[] };
  who: { online: number; names?: string[] };
  history: { messages: Message[]; more: boolean };
  accepted: { id: string; seq: number };
  error: { code: ErrorCode; message: string; id?: string; retry: boolean };
  bye: { code: number; reason: string; reconnect_ms: [number, number] };
  pong: { time: number };
}

/** On a plain connection all fields are missing. */
export interface Welcome {
  room: string;
  name: string;
  member: number;
  session: string;
  epoch: string;
  seq: number;
  /** Whether exactly what we missed follows, and not just the newest messages. */
  resumed: boolean;
  online: number;
  ping: number;
  max_message: number;
}

/** Has one of `text`, `base64` and `size` (too large to be shown here). On a plain connection `seq`, `from` and `member`
 *  are missing. */
export interface Message {
  seq?: number;
  time: number;
  from?: string;
  member?: number;
  text?: string | Blob;
  base64?: string;
  size?: number;
  id?: string;
  /** Whether it is ours. */
  own: boolean;
}
