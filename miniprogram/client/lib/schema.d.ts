// Generated from schema.graphqls by generate.mjs. Do not edit.
/** What login needs. */
export interface LoginInput {
  /** The code that wx.login gave: 5 minutes old at most, used once. */
  code: string;
  /**
   * Chosen by the client, new for each code, 1 to 64 printable ASCII characters without spaces, hard
   * to guess (a UUID). Within ten minutes the same code and requestId give the same session again.
   */
  requestId?: string | null;
  /** The AppID of the mini program, as wx.getAccountInfoSync gives it. May be left out where the server has one app. */
  appId?: string | null;
  /** A name for the device in the list of sessions, as wx.getDeviceInfo().model gives it: at most 64 characters. */
  device?: string | null;
}

/** What login gives. */
export interface LoginPayload {
  /** The tokens of the new session. */
  tokens: Tokens;
  /** The user who is now signed in. */
  user: User;
  /** True when this login made the user. */
  created: boolean;
}

/** What refreshSession needs. */
export interface RefreshSessionInput {
  /** The newest refresh token. */
  refreshToken: string;
}

/** What refreshSession gives. */
export interface RefreshSessionPayload {
  /** The new tokens. Forget the old ones. */
  tokens: Tokens;
}

/** Which sessions logout ends; this one when nothing is said. */
export interface LogoutInput {
  /** The id of one of the user's own sessions. */
  sessionId?: string | null;
  /** True ends all sessions of the user, this one too. Not together with sessionId. */
  everywhere?: boolean | null;
}

/** What logout gives. */
export interface LogoutPayload {
  /** How many sessions ended. */
  ended: number;
}

/** What to change in the profile. */
export interface UpdateProfileInput {
  /**
   * 1 to 32 characters as a person counts them (an emoji is one), trimmed; no control characters, and
   * none that embed, override or isolate the direction of text.
   */
  nickname?: string | null;
  /**
   * A picture: JPEG, PNG, GIF (its first frame) or WebP (not animated), at most 10 MiB, 8192 pixels a side and 40 million in
   * all. It is turned upright, cut to its centre square, made white where it is transparent, and rid of all metadata.
   */
  avatar?: string | null;
  /** The id of an upload that createAvatarUpload began and whose file has been sent; not together with avatar. Sending the same id again is safe. */
  avatarUploadId?: string | null;
  /** Gender. */
  gender?: Gender | null;
  /** Date of birth as YYYY-MM-DD, not before 1900 and not after today. */
  birthday?: string | null;
  /** Where the user lives; set as a whole. */
  region?: RegionInput | null;
  /** The app's own settings for the user; set as a whole, at most 16384 bytes of JSON and 16 levels deep. */
  preferences?: Record<string, unknown> | null;
  /** Change nothing, and answer CONFLICT, unless the profile is still at this version. */
  ifVersion?: number | null;
  /** What the user has just agreed to. CONSENT_REQUIRED where the server demands a consent and has none. */
  consent?: ConsentInput | null;
}

/** What createAvatarUpload needs. */
export interface CreateAvatarUploadInput {
  /** What the file is: image/jpeg, image/png, image/gif or image/webp. */
  contentType: string;
  /** How large the file is, in bytes; 10485760 at most. */
  size: number;
}

/** A form to send by POST as multipart/form-data, as wx.uploadFile does. Any answer of 200 to 299 means that the file is there. */
export interface CreateAvatarUploadPayload {
  /** For updateProfile's avatarUploadId. */
  id: string;
  /** Where to send it: wx.uploadFile's url. */
  url: string;
  /** The name of the file's part: wx.uploadFile's name. */
  fileField: string;
  /** What to send before the file: wx.uploadFile's formData. */
  fields: Array<FormField>;
  /** When the form stops working, ten minutes from now. */
  expiresAt: string;
  /** The largest file that is taken. */
  maxBytes: number;
}

/** A field of a form. */
export interface FormField {
  /** Its name. */
  name: string;
  /** Its value. */
  value: string;
}

/** What updateProfile gives. */
export interface UpdateProfilePayload {
  /** The user after the change. */
  user: User;
}

/** What importWeChatProfile needs: rawData and signature, or encryptedData and iv, or all four. */
export interface ImportWeChatProfileInput {
  /** rawData of wx.getUserInfo or wx.getUserProfile, exactly as it came. */
  rawData?: string | null;
  /** The signature that came with rawData. */
  signature?: string | null;
  /** encryptedData of the same answer, not older than ten minutes. */
  encryptedData?: string | null;
  /** The iv that came with encryptedData. */
  iv?: string | null;
  /** True also replaces what is there. */
  overwrite?: boolean;
  /** What the user has just agreed to. CONSENT_REQUIRED where the server demands a consent and has none. */
  consent?: ConsentInput | null;
}

/** What importWeChatProfile gives. */
export interface ImportWeChatProfilePayload {
  /** The user after the change. */
  user: User;
}

/** What bindPhoneNumber needs: a code, or encryptedData and iv, or a code that is null, to unbind. */
export interface BindPhoneNumberInput {
  /** The code of a button with open-type getPhoneNumber; not that of wx.login. Null takes the number away. */
  code?: string | null;
  /** encryptedData of the same event, from older clients. */
  encryptedData?: string | null;
  /** The iv that came with encryptedData. */
  iv?: string | null;
  /**
   * True takes the number from the account that has it; without it that is an error of this field,
   * as true is with encryptedData: only a code can take a number away from somebody.
   */
  move?: boolean;
  /** What the user has just agreed to. CONSENT_REQUIRED where the server demands a consent and has none. */
  consent?: ConsentInput | null;
}

/** What bindPhoneNumber gives. */
export interface BindPhoneNumberPayload {
  /** The user after the change. */
  user: User;
}

/** A consent that the user has just given. */
export interface ConsentInput {
  /** The data that it is about. */
  scopes: Array<ConsentScope>;
  /** What the data is for, in the words that the user saw; 1 to 200 characters. */
  purpose: string;
  /** The version of the privacy policy that the user saw; 1 to 64 characters. */
  policyVersion: string;
}

/** What recordConsent needs. */
export interface RecordConsentInput {
  /** What the user has agreed to. */
  consent: ConsentInput;
}

/** What recordConsent gives. */
export interface RecordConsentPayload {
  /** The user. */
  user: User;
}

/** What withdrawConsent needs. */
export interface WithdrawConsentInput {
  /** The data that may no longer be kept. */
  scopes: Array<ConsentScope>;
}

/** What withdrawConsent gives. */
export interface WithdrawConsentPayload {
  /** The user, without that data. */
  user: User;
}

/** What mergeAccount needs. */
export interface MergeAccountInput {
  /** A fresh code of wx.login, of the person of the other account. */
  code: string;
  /** The AppID of the mini program that the code is from; this session's when it is left out. */
  appId?: string | null;
}

/** What mergeAccount gives. */
export interface MergeAccountPayload {
  /** The user after the merge. */
  user: User;
  /** The id of the account that is no more. */
  merged: string;
}

/** What deleteAccount needs. */
export interface DeleteAccountInput {
  /** A fresh code of wx.login, of the mini program that signed in: it proves that it is the user who asks. */
  code: string;
}

/** What deleteAccount gives. */
export interface DeleteAccountPayload {
  /** When the data is erased. A login before that restores the account. */
  erasedAt: string;
}

/** The tokens of a session. */
export interface Tokens {
  /** Goes into the Authorization header; a JWT whose keys are at /.well-known/jwks.json. */
  accessToken: string;
  /** When the access token expires; refresh then. */
  accessTokenExpiresAt: string;
  /** For refreshSession. Keep it in storage; each refresh gives a new one. */
  refreshToken: string;
  /** When the refresh token expires unless it is used before; log in again then. */
  refreshTokenExpiresAt: string;
}

/** An account with its profile. */
export interface User {
  /** Random and lasting; says nothing about the person. */
  id: string;
  /** Grows with every change of the profile; for ifVersion. */
  version: number;
  /** The name to show; null until it is set. */
  nickname: string | null;
  /** The picture; null until it is set. */
  avatar: Avatar | null;
  /** Gender; null until it is set. */
  gender: Gender | null;
  /** Date of birth as YYYY-MM-DD; null until it is set. */
  birthday: string | null;
  /** Where the user lives; null until it is set. */
  region: Region | null;
  /** The app's own settings for the user; {} until they are set. */
  preferences: Record<string, unknown>;
  /** The phone number that WeChat vouched for; null until it is bound. */
  phone: Phone | null;
  /** The mini programs through which the user has signed in. */
  identities: Array<Identity>;
  /** The ids of accounts that turned out to be the same person, by their unionid; for mergeAccount. */
  otherAccounts: Array<string>;
  /** When the user first signed in. */
  createdAt: string;
  /** When the profile last changed. */
  updatedAt: string;
  /** Where the user is signed in, newest first, at most 100: of more sessions, those seen longest ago end. */
  sessions: Array<Session>;
  /** What happened to the account in the last 180 days, newest first, at most 100 entries. */
  audit: Array<AuditEntry>;
  /** What the user agreed to, by scope. */
  consents: Array<Consent>;
  /**
   * Everything that is kept on the user, to read and to take away: exportedAt, id, version, the fields of
   * the profile, identities, otherAccounts, sessions, consents, and of the audit the newest 1000 entries. Secrets
   * are left out.
   */
  export: Record<string, unknown>;
}

/** A phone number that WeChat vouched for. */
export interface Phone {
  /** The country code in digits, as 86. */
  countryCode: string;
  /** The number in digits, without the country code. */
  number: string;
}

/** What a user agreed to. */
export interface Consent {
  /** The data that it is about. */
  scope: ConsentScope;
  /** What the data is for, in the words that the user saw. */
  purpose: string;
  /** The version of the privacy policy that the user saw. */
  policyVersion: string;
  /** When it was last given. */
  grantedAt: string;
  /** When it was withdrawn; null while it holds. */
  withdrawnAt: string | null;
}

/** The data that a consent is about: fields of the profile. */
export type ConsentScope = 'NICKNAME' | 'AVATAR' | 'PHONE' | 'GENDER' | 'BIRTHDAY' | 'REGION' | 'PREFERENCES';

/** A user as one mini program knows them. */
export interface Identity {
  /** The AppID of the mini program. */
  appId: string;
  /** WeChat's id of the person within that mini program. */
  openid: string;
}

/** A profile picture. */
export interface Avatar {
  /** Where the JPEG is. A new picture has a new address, so it may be cached for ever. */
  url: string;
  /** Whether the picture has been checked. */
  status: AvatarStatus;
}

/** The sizes of a picture; all are square. */
export type AvatarSize = 'SMALL' | 'LARGE';

/** Whether a picture has been checked. */
export type AvatarStatus = 'PENDING' | 'ACCEPTED';

/** Gender. */
export type Gender = 'FEMALE' | 'MALE' | 'OTHER';

/** Where a user lives, as WeChat's region picker names it. */
export interface Region {
  /** Country. */
  country: string | null;
  /** Province. */
  province: string | null;
  /** City. */
  city: string | null;
}

/** Where a user lives; each part at most 64 characters. */
export interface RegionInput {
  /** Country. */
  country?: string | null;
  /** Province. */
  province?: string | null;
  /** City. */
  city?: string | null;
}

/** A signed-in device. */
export interface Session {
  /** For logout. */
  id: string;
  /** Whether it is the one that asks. */
  current: boolean;
  /** The AppID of the mini program. */
  appId: string;
  /** The name that login was given; null when none was. */
  device: string | null;
  /** When it began. */
  createdAt: string;
  /** When it was last refreshed, or else when it began. */
  seenAt: string;
  /** When it ends unless it is refreshed before. */
  expiresAt: string;
}

/** Something that happened to the account. */
export interface AuditEntry {
  /** When. */
  at: string;
  /** What. */
  event: AuditEvent;
  /** The session that did it or that it was done to; null when there is none. */
  sessionId: string | null;
  /** The names of the profile's fields that it is about; empty for other events. */
  fields: Array<string>;
}

/** What can happen to an account. */
export type AuditEvent = 'USER_CREATED' | 'LOGGED_IN' | 'LOGGED_OUT' | 'SESSION_DROPPED' | 'REFRESH_TOKEN_REUSED' | 'PROFILE_UPDATED' | 'UNIONID_BOUND' | 'UNIONID_TAKEN' | 'PHONE_BOUND' | 'PHONE_UNBOUND' | 'PHONE_MOVED_AWAY' | 'CONSENT_GRANTED' | 'CONSENT_WITHDRAWN' | 'CONTENT_REJECTED' | 'WECHAT_REVOKED' | 'WECHAT_CANCELLED' | 'WECHAT_CLEANED' | 'ACCOUNTS_MERGED' | 'DELETION_REQUESTED' | 'ACCOUNT_RESTORED' | 'ACCOUNT_DELETED';

/** The data of the operation me. */
export type MeResult = {
  me: {
    id: string;
    version: number;
    nickname: string | null;
    avatar: {
      small: string;
      large: string;
      status: AvatarStatus;
    } | null;
    gender: Gender | null;
    birthday: string | null;
    region: {
      country: string | null;
      province: string | null;
      city: string | null;
    } | null;
    preferences: Record<string, unknown>;
    createdAt: string;
    updatedAt: string;
  } | null;
};

/** The data of the operation login. */
export type LoginResult = {
  login: {
    created: boolean;
    tokens: {
      accessToken: string;
      accessTokenExpiresAt: string;
      refreshToken: string;
    };
    user: {
      id: string;
      version: number;
      nickname: string | null;
      avatar: {
        small: string;
        large: string;
        status: AvatarStatus;
      } | null;
      gender: Gender | null;
      birthday: string | null;
      region: {
        country: string | null;
        province: string | null;
        city: string | null;
      } | null;
      preferences: Record<string, unknown>;
      createdAt: string;
      updatedAt: string;
    };
  };
};

/** The data of the operation refreshSession. */
export type RefreshSessionResult = {
  refreshSession: {
    tokens: {
      accessToken: string;
      accessTokenExpiresAt: string;
      refreshToken: string;
    };
  };
};

/** The data of the operation logout. */
export type LogoutResult = {
  logout: {
    ended: number;
  };
};

/** The data of the operation updateProfile. */
export type UpdateProfileResult = {
  updateProfile: {
    user: {
      id: string;
      version: number;
      nickname: string | null;
      avatar: {
        small: string;
        large: string;
        status: AvatarStatus;
      } | null;
      gender: Gender | null;
      birthday: string | null;
      region: {
        country: string | null;
        province: string | null;
        city: string | null;
      } | null;
      preferences: Record<string, unknown>;
      createdAt: string;
      updatedAt: string;
    };
  };
};

/** The data of the operation createAvatarUpload. */
export type CreateAvatarUploadResult = {
  createAvatarUpload: {
    id: string;
    url: string;
    fileField: string;
    fields: Array<{
      name: string;
      value: string;
    }>;
  };
};

/** The data of the operation bindPhoneNumber. */
export type BindPhoneNumberResult = {
  bindPhoneNumber: {
    user: {
      id: string;
      version: number;
      nickname: string | null;
      avatar: {
        small: string;
        large: string;
        status: AvatarStatus;
      } | null;
      gender: Gender | null;
      birthday: string | null;
      region: {
        country: string | null;
        province: string | null;
        city: string | null;
      } | null;
      preferences: Record<string, unknown>;
      createdAt: string;
      updatedAt: string;
    };
  };
};

/** The data of the client's operations, by their names. */
export interface Results {
  me: MeResult;
  login: LoginResult;
  refreshSession: RefreshSessionResult;
  logout: LogoutResult;
  updateProfile: UpdateProfileResult;
  createAvatarUpload: CreateAvatarUploadResult;
  bindPhoneNumber: BindPhoneNumberResult;
}

/** What the client asks of a user. */
export type Profile = NonNullable<MeResult['me']>;
