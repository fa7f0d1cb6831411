import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { DatasetSource } from '../contract.js'
import { isImageName } from '../formats/names.js'

/** One image file by itself, without a label. */
export const image: DatasetSource = {
  id: 'image',
  form: 'one image file',
  recognises: async (path, isFolder) => !isFolder && isImageName(path),
  async open(path) {
    const name = basename(path)
    return {
      decision: `${name} is one image without a label.`,
      async *items() {
        const { size } = await stat(path)
        yield { id: name, path: name, size, load: { kind: 'file', path } }
      },
      notes: () => [],
    }
  },
}
