import type { Platform } from './index';

/** Makes the platform of a browser. */
export declare function createPlatform(options: {
  /** Gives a code for login: a browser has no wx.login. In the sandbox, `ming~${Date.now()}` is one. */
  code(): Promise<string>;
}): Platform & {
  /** Makes a file of an input usable: returns what setAvatar takes. */
  addFile(file: Blob): string;
};
