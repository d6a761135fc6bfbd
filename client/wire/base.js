// The prefix of the server's addresses, because a proxy may publish the server under a path (`--path-prefix`).

const { protocol, pathname } = new URL(import.meta.url);

/** Empty, or for example '/rooms'. It is taken from this file's own address. Tests load the file from the disk. */
export const BASE = protocol === 'file:' ? '' : pathname.slice(0, pathname.lastIndexOf('/client/'));
