// Files that are dropped anywhere on the room's page. A browser would leave the room to show a file that is dropped where
// nothing takes it, so everything is taken, and whether it can be sent is said afterwards.

/**
 * @param {HTMLElement} root which has the class `dropping` while files are held over the page
 * @param {(files: File[]) => void} take
 * @returns {() => void} ends it
 */
export function takeDrops(root, take) {
  const ended = new AbortController();
  const { signal } = ended;
  const bringsFiles = (/** @type {DragEvent} */ { dataTransfer }) => dataTransfer?.types.includes('Files') ?? false;
  /** How many elements one is over, because each tells of it. */
  let depth = 0;
  const show = (/** @type {number} */ now) => {
    depth = Math.max(0, now);
    root.classList.toggle('dropping', depth > 0);
  };
  document.addEventListener('dragenter', (event) => bringsFiles(event) && show(depth + 1), { signal });
  document.addEventListener('dragleave', (event) => bringsFiles(event) && show(depth - 1), { signal });
  document.addEventListener('dragover', (event) => bringsFiles(event) && event.preventDefault(), { signal });
  document.addEventListener(
    'drop',
    (event) => {
      if (!bringsFiles(event)) return;
      event.preventDefault();
      show(0);
      take([...(event.dataTransfer?.files ?? [])]);
    },
    { signal },
  );
  return () => ended.abort();
}
