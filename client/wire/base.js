// Where the server's addresses begin: a proxy may show it below a path of its own (`--path-prefix`).

const { protocol, pathname } = new URL(import.meta.url);

/** '' or like '/rooms', read off this file's own address; tests load it from the disk. */
export const BASE = protocol === 'file:' ? '' : pathname.slice(0, pathname.lastIndexOf('/client/'));
