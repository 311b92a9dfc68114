// What the client promises. Types of the API's data are in schema.d.ts, which is generated.
import type { BindPhoneNumberInput, LogoutInput, LogoutPayload, Profile, Results, UpdateProfileInput } from './schema';

export * from './schema';

/** Makes a client. One for the whole mini program is enough, as in app.js. Without a url it throws. */
export declare function createClient(options: Options): Client;

/** The operations that the client sends, by their names; to build on. */
export declare const documents: Readonly<Record<keyof Results, string>>;

export interface Options {
  /** Where the API is, as https://api.example.com/graphql. */
  url: string;
  /** The AppID, where the server has several: wx.getAccountInfoSync().miniProgram.appId. Tokens are kept by url and appId. */
  appId?: string;
  /** A name for the list of sessions; the device's model where it is not given. */
  device?: string;
  /** Milliseconds to wait for an answer, and for the next sign of life of an upload: 20000. */
  timeout?: number;
  /** Where requests, logins and storage come from: uni, Taro, or one of your own. The global wx where it is not given. */
  platform?: Platform;
  /** Another name of platform, which goes before it. */
  wx?: Platform;
  /** Where tokens are kept, as localStorage has it; the platform's storage where it is not given. */
  storage?: Storage;
}

/**
 * A call under way. It waits for the one login or refresh that all calls share, and is repeated where that does no
 * harm. It fails with a ClientError.
 */
export type Call<T> = Promise<T> & {
  /** Gives the call up: it fails with ABORTED at once. Whether the server has carried it out is then unknown. */
  abort(): void;
};

export interface Client {
  /** Whether there are tokens. They may turn out to be dead; then the next call logs in again by itself. */
  readonly signedIn: boolean;
  /** Whether the user has logged out: all calls but login fail with SIGNED_OUT, also after a restart. */
  readonly signedOut: boolean;
  /**
   * Signs in, or finds out who is signed in. Calling it is only needed after logout: every other call signs in by
   * itself. created tells whether this made the user.
   *
   * fresh: true signs in by wx.login even where there are tokens; the new session takes the place of the old one, which
   * the server is told to end. It is for calls that are refused because WeChat's session_key or the session itself is
   * too old. If it fails, the old session goes on.
   */
  login(how?: { fresh?: boolean }): Call<{ user: Profile; created: boolean }>;
  /** The signed-in user. For other fields, use query. */
  me(): Call<Profile>;
  /** Changes the profile: what is absent stays, null clears, a value sets. All of it happens or nothing. */
  updateProfile(input: ProfileInput, how?: Upload & Safety): Call<Profile>;
  /**
   * Sets the picture to a local file, as chooseAvatar gives it: straight to the bucket where the server can, else through
   * it. With a consent it is updateProfile({ avatar, consent }). Without a path it is BAD_USER_INPUT, of the field avatar.
   */
  setAvatar(filePath: string, how?: Upload & Safety): Call<Profile>;
  /**
   * Binds the phone number of a getPhoneNumber button: e.detail.code, or { code, move, consent }. Without a code, as where
   * the user has refused, it is BAD_USER_INPUT, of the field code, and nothing is sent. An error of the field
   * move says that another account has the number: ask the user, then call again with the same code and move: true.
   * { code: null } takes the number away. The profile that it gives does not hold the number: query does,
   * '{ me { phone { countryCode number } } }'. It is repeated when its answer gets lost: the server sends the code to
   * WeChat once.
   */
  bindPhoneNumber(code: string | BindPhoneNumberInput): Call<Profile>;
  /**
   * Ends this session, or all, or another one that is named. This one is over here at once, whether the server can be
   * reached or not; calls under way fail with SIGNED_OUT. To end it, name none: this client does not know its own id,
   * and would log in again. When it fails, the server may not know of
   * it: called again before the mini program ends, it is sent again.
   */
  logout(input?: LogoutInput): Call<LogoutPayload>;
  /** Any operation, signed in. T is the type of its data. One that contains no mutation is safe. */
  query<T = any>(document: string, variables?: object, how?: Safety): Call<T>;
  /** Tells when a session begins, is renewed or ends. Returns what stops it. */
  on(event: 'session', f: (change: SessionChange) => void): () => void;
  /** Tells of every call that failed, but for those that were aborted or ended by logout. Returns what stops it. */
  on(event: 'error', f: (error: ClientError) => void): () => void;
}

/** What updateProfile changes; avatar is a local file. */
export type ProfileInput = Omit<UpdateProfileInput, 'avatar' | 'avatarUploadId'> & { avatar?: string | null };

export interface Safety {
  /** True: doing it twice is as good as once, so it may be repeated when no answer comes. */
  safe?: boolean;
}

export interface Upload {
  onProgress?(progress: Progress): void;
}

/** As wx.uploadFile tells it: percent, and bytes. */
export interface Progress {
  progress: number;
  totalBytesSent: number;
  totalBytesExpectedToSend: number;
}

export type SessionChange =
  | { signedIn: true; reason: 'login'; user: Profile; created: boolean }
  | { signedIn: true; reason: 'refresh'; user?: undefined; created?: undefined }
  | { signedIn: false; reason: 'logout'; user?: undefined; created?: undefined };

export interface ClientError extends Error {
  /**
   * What to do is in the README. The server's codes, as schema.graphqls has them, and the client's own:
   * NETWORK, TIMEOUT, HTTP (an answer that is not the API's), LOGIN_FAILED (of wx.login), SIGNED_OUT, ABORTED,
   * UNSUPPORTED (the platform lacks what the call needs).
   */
  code: string;
  /** Whether the same call may succeed later. */
  retryable: boolean;
  /** For the operator, who finds it in the log. */
  requestId?: string;
  /** The input field that is wrong. */
  field?: string;
  /** Seconds to wait before trying again. */
  retryAfter?: number;
  /**
   * LOG_IN_AGAIN: the session lives, but only login({ fresh: true }) helps. DELETION_PENDING: the user has deleted the
   * account, and login({ fresh: true }) restores it: ask them first.
   */
  hint?: string;
  /** The HTTP status of an answer that is not the API's. */
  status?: number;
  /** All errors of the answer, where the server gave it. */
  errors?: { message: string; path?: (string | number)[]; extensions?: Record<string, unknown> }[];
}

/** What localStorage can do. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** What the client uses of wx. The global objects of uni-app and Taro fit as they are; browser.js makes one for browsers. */
export interface Platform {
  request(options: any): unknown;
  uploadFile(options: any): unknown;
  login(options: any): unknown;
  getStorageSync(key: string): any;
  setStorageSync(key: string, value: any): void;
  removeStorageSync(key: string): void;
  /** For the name of the device. */
  getDeviceInfo?(): { model?: string };
  /** These two tell type and size of a picture; without them it goes through the server. */
  getImageInfo?(options: any): unknown;
  getFileSystemManager?(): any;
}
