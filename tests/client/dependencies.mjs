// The floors of the page: imports run down only, those of types too. `npm run check` runs dependency-cruiser by this.

const FLOORS = ['wire', 'media', 'room', 'page', 'inspect'];

/** Each floor with those above it, on which it must not lean; the entries app.js and inspect.js are above them all. */
const upward = FLOORS.map((floor, at) => ({
  name: `${floor}-imports-down`,
  comment: `client/${floor}/ may import from ${FLOORS.slice(0, at + 1).join(', ')} only`,
  severity: 'error',
  from: { path: `client/${floor}/` },
  to: { pathNot: `client/(${FLOORS.slice(0, at + 1).join('|')})/` },
}));

export default {
  forbidden: [
    ...upward,
    {
      name: 'no-circle',
      comment: 'no circle, not even one of types',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'of-a-floor',
      comment: 'a module is on one of the floors, or is an entry that a page names',
      severity: 'error',
      // app.js is the first user of the library.
      from: { pathNot: 'client/app.js' },
      to: { path: 'client/[^/]+$' },
    },
    {
      name: 'found',
      comment: 'an import that leads nowhere breaks the page',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // The page has no build step, so that its types are imported in comments: the compiler reads those, too.
    parser: 'tsc',
    detectJSDocImports: true,
    tsPreCompilationDeps: true,
  },
};
