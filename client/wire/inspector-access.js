// Asks the server whether this visitor may open the inspector.

import { BASE } from './base.js';

/** @import {InspectorAccess} from './api.d.ts' */

/** @returns {Promise<boolean>} also false if the server cannot be asked now */
export async function mayInspect() {
  try {
    const response = await fetch(`${BASE}/inspect/api/access`, { cache: 'no-store' });
    if (!response.ok) return false;
    /** @type {InspectorAccess} */
    const { open } = await response.json();
    return open;
  } catch (error) {
    console.debug('not told whether the inspector is open', error);
    return false;
  }
}
