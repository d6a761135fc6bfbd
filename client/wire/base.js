// Where the server is, and where its files are, because a proxy may publish the server under a path (`--path-prefix`).

/** `…/client/`, or `…/client/RELEASE/`, in which the files of one release of the page never change. */
const PLACE = /^(.*)\/client\/(?:[0-9a-f]{16}\/)?/;

const { protocol, pathname } = new URL(import.meta.url);
const [files, base] = (protocol === 'file:' ? null : PLACE.exec(pathname)) ?? ['/client/', ''];

/** Empty, or for example '/rooms'. It is taken from this file's own address. Tests load the file from the disk. */
export const BASE = base ?? '';

/** The path of the page's files, with a slash at its end. */
export const FILES = files;
