// Types of hushd.js, a client of one chat room that keeps the connection open.

/** Connects to the room at `url` (`ws://host/tea`) and reconnects until `close()`. */
export function connect(url: string | URL, options?: Options): Room;

export interface Options extends Partial<Saved> {
  /** The subprotocols to offer, the preferred one first. Without `chat.v1` in the list, messages are plain text. */
  protocols?: string[];
  /** The longest wait before the first reconnect, in ms; it doubles with each attempt (500). */
  slot?: number;
  /** The upper bound of the wait, in ms (30,000). */
  cap?: number;
  /** The WebSocket to use where there is no global one, such as that of the package `ws`. */
  WebSocket?: new (url: URL, protocols: string[]) => WebSocket;
}

/** The state of a client. As options of the next `connect` it continues from there, as the same member. */
export interface Saved {
  /** The wanted name; without one the client is a guest. */
  name?: string;
  /** A secret: a client that has it takes over our place. */
  session?: string;
  /** `EPOCH.SEQ` of the last message received. */
  since?: string;
  /** Messages not acknowledged yet. They are sent again under the same id, and published once. */
  pending: { id: string; text: string }[];
}

export interface Room {
  /** `closed` after `close()`, or after another connection took over our session. */
  readonly state: 'connecting' | 'open' | 'waiting' | 'closed';
  /** While waiting: the time of the next attempt, in ms since 1970. */
  readonly until: number;
  /** The subprotocol that the server chose. With `chat` or none there are no names, the echo of a text counts as its
   *  acknowledgement, and the only events are `state`, `welcome` and `message`. */
  readonly protocol: 'chat.v1' | 'chat' | '';
  /** Our name in this room. */
  readonly name: string;
  /** Our number in this room, for as long as the session lives. */
  readonly member: number;

  /** Calls `listener` for each event of this type, in order. Returns a function that removes the listener. */
  on<T extends keyof Events>(type: T, listener: (event: Events[T]) => void): () => boolean;

  /** Sends `text` as soon as possible, across any number of reconnects. Resolves with the id when the room has
   *  published it; rejects with an error whose `code` is one of `Failure`. Half a surrogate pair becomes U+FFFD. */
  send(text: string, id?: string): Promise<string>;

  /** Stops resending a pending message. The room may have published it all the same. */
  cancel(id: string): void;

  /** Sends any other frame of docs/protocol.md. Returns false if there is no connection to send it on. */
  sendFrame(frame: { type: 'who' } | { type: 'history'; before?: number; limit?: number } | { type: string }): boolean;

  /** Asks for a name as soon as possible, and again if the connection breaks before the answer; a `name` event tells
   *  the name that the room gave us. */
  rename(name: string): void;

  /** Whether `text` is small enough for a message here, under an id of usual length or this one. */
  fits(text: string, id?: string): boolean;

  /** Makes the next attempt now; on an open connection sends a ping. */
  reconnect(): void;

  /** Options with which another `connect` continues from here. */
  save(): Saved;

  /** Disconnects for good. Pending messages stay pending, and `save()` returns them. */
  close(): void;

  /** @deprecated The earlier name of `cancel`. */
  forget: Room['cancel'];
  /** @deprecated The earlier name of `sendFrame`. */
  tell: Room['sendFrame'];
  /** @deprecated The earlier name of `reconnect`. */
  nudge: Room['reconnect'];
}

/** The server's error codes, and those of the library: `too_large` for this server, `unknown` if a plain connection was
 *  lost before the echo, `forgotten` after `cancel()`. */
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
  /** Whether exactly the messages after `since` follow, and not only the newest ones. */
  resumed: boolean;
  online: number;
  ping: number;
  max_message: number;
}

/** Has one of `text`, `base64` and `size` (if the message is too large for a frame of JSON). On a plain connection `seq`, `from` and `member`
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
  /** Whether we sent it. */
  own: boolean;
}
