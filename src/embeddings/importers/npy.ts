import { type FileHandle, open } from 'node:fs/promises'
import { type ForeignMatrix, importError } from './contract.js'

type NpyType = { readonly bytes: number; read(buffer: Buffer): ArrayLike<number> }

const npyTypes: Readonly<Record<string, NpyType>> = {
  '<f4': { bytes: 4, read: (buffer) => new Float32Array(new Uint8Array(buffer).buffer) },
  '<f8': { bytes: 8, read: (buffer) => new Float64Array(new Uint8Array(buffer).buffer) },
}

interface NpyHeader {
  readonly rows: number
  readonly dim: number
  readonly type: NpyType
  /** Where the values begin, in bytes. */
  readonly dataStart: number
}

/** NumPy's format (NEP 1): magic, version, length and text of the header, then the values. */
async function readHeader(path: string, handle: FileHandle): Promise<NpyHeader> {
  const { size } = await handle.stat()
  const head = Buffer.alloc(Math.min(size, 4096))
  await handle.read(head, 0, head.length, 0)
  if (head.length < 12 || head.subarray(0, 6).toString('latin1') !== '\x93NUMPY')
    throw importError(path, 'it is not a .npy file', 'Write it with numpy.save.')
  const wide = head[6]! > 1
  const headerLength = wide ? head.readUInt32LE(8) : head.readUInt16LE(8)
  const dataStart = (wide ? 12 : 10) + headerLength
  const header = head.subarray(wide ? 12 : 10, dataStart).toString('latin1')
  const descr = /'descr': '([^']+)'/.exec(header)?.[1] ?? ''
  const shape = /'shape': \((\d+), (\d+),?\)/.exec(header)
  const type = npyTypes[descr]
  if (!type || !shape || !/'fortran_order': False/.test(header)) {
    throw importError(
      path,
      `its header ${header.trim().slice(0, 120)} is not a C-ordered float32 or float64 matrix`,
      'Save np.ascontiguousarray(x, dtype=np.float32).',
    )
  }
  const [rows, dim] = [Number(shape[1]), Number(shape[2])]
  const promised = dataStart + rows * dim * type.bytes
  if (!Number.isSafeInteger(rows * dim * type.bytes) || size !== promised) {
    throw importError(
      path,
      `it has ${size} bytes, its header promises ${promised}`,
      'The file is cut off or damaged: copy it again.',
    )
  }
  return { rows, dim, type, dataStart }
}

async function withFile<T>(path: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, 'r')
  try {
    return await work(handle)
  } finally {
    await handle.close()
  }
}

/** A C-ordered matrix of float32 or float64. @throws Fc7Error IMPORT_BAD */
export async function openNpy(path: string): Promise<ForeignMatrix> {
  const { rows, dim, type, dataStart } = await withFile(path, (handle) => readHeader(path, handle))
  return {
    rows,
    dim,
    read: (start, end) =>
      withFile(path, async (handle) => {
        const buffer = Buffer.alloc((end - start) * dim * type.bytes)
        await handle.read(buffer, 0, buffer.length, dataStart + start * dim * type.bytes)
        return Float32Array.from(type.read(buffer))
      }),
  }
}
