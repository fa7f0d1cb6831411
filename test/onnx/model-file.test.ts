import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { identityOf } from '../../src/backbones/identity.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { checkModel } from '../../src/onnx/check.js'
import { cutGraph, joinModels, renameTensors } from '../../src/onnx/edit.js'
import {
  type GraphProto,
  type ModelProto,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from '../../src/onnx/generated/onnx_pb.js'
import { decodeModel, readModel } from '../../src/onnx/read.js'
import { inferShapes } from '../../src/onnx/shapes/shapes.js'
import { floatsOf } from '../../src/onnx/values.js'
import { graphOf } from '../../src/onnx/walk.js'
import { writeModel } from '../../src/onnx/write.js'
import { closeSession, openSession } from '../../src/runtime/session.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-onnx-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** [N, 2000] times a 2000 × 4 weight of 0, 1, 2 …, then Relu; a second branch nobody needs. */
function small(): ModelProto {
  const b = new GraphBuilder('small')
  b.input('x', 'float32', ['N', 2000])
  b.initializer(
    'w',
    'float32',
    [2000, 4],
    Float32Array.from({ length: 8000 }, (_, i) => i),
  )
  b.initializer('unused_w', 'float32', [2], Float32Array.of(1, 2))
  b.add('Gemm', ['x', 'w'], {}, { outputs: ['h'] })
  b.add('Relu', ['h'], {}, { outputs: ['y'] })
  b.add('Neg', ['h'], {}, { outputs: ['z'] })
  b.output('y', 'float32', ['N', 4])
  b.output('z', 'float32', ['N', 4])
  return b.model()
}

async function rejection(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing was thrown',
    (error: { code?: string }) => error.code ?? String(error),
  )
}

describe('model files', () => {
  it('come back as they were written, and onnxruntime loads them', async () => {
    const path = join(folder, 'a.onnx')
    await writeModel(small(), path)
    const back = await readModel(path)
    expect(floatsOf(graphOf(back).initializer.find(({ name }) => name === 'w')!)[7999]).toBe(7999)
    expect(graphOf(back).node.map(({ opType }) => opType)).toEqual(['Gemm', 'Relu', 'Neg'])
    const session = await openSession(path)
    expect(session.outputNames).toEqual(['y', 'z'])
    await closeSession(session)
    const again = join(folder, 'b.onnx')
    await writeModel(back, again)
    expect((await readFile(again)).equals(await readFile(path))).toBe(true)
  })

  it('share the weights with the bytes they were decoded from', () => {
    const bytes = encodeModel(small())
    const weight = graphOf(decodeModel(bytes)).initializer.find(({ name }) => name === 'w')!
    expect(weight.rawData.buffer).toBe(bytes.buffer)
  })

  it('keep large weights in a data file when asked, which reads and runs the same', async () => {
    const path = join(folder, 'external.onnx')
    expect(await writeModel(small(), path, { maxInlineBytes: 1000 })).toEqual([path, `${path}.data`])
    expect((await readFile(path)).length).toBeLessThan(1000)
    const back = await readModel(path)
    expect(floatsOf(graphOf(back).initializer.find(({ name }) => name === 'w')!)[4321]).toBe(4321)
    const session = await openSession(path)
    await closeSession(session)
  })

  it('refuse a truncated file and one that is no model', async () => {
    const path = join(folder, 'cut.onnx')
    await writeModel(small(), path)
    await truncate(path, 20_000)
    expect(await rejection(readModel(path))).toBe('ONNX_BROKEN')
    await writeFile(path, 'hello, this is text')
    expect(await rejection(readModel(path))).toBe('ONNX_BROKEN')
    expect(await rejection(readModel(join(folder, 'missing.onnx')))).toBe('FILE_UNREADABLE')
  })

  it('leave nothing under a final name when writing fails', async () => {
    await writeFile(join(folder, 'file'), '')
    expect(await rejection(writeModel(small(), join(folder, 'file', 'x.onnx')))).toMatch(/^WRITE_/)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})

describe('external data', () => {
  async function withLocation(change: (entry: { key: string; value: string }) => void, name: string): Promise<string> {
    const path = join(folder, name, 'm.onnx')
    await mkdir(join(folder, name), { recursive: true })
    await writeModel(small(), path, { weights: 'external' })
    // decodeModel leaves external data where it is.
    const model = decodeModel(await readFile(path))
    for (const tensor of graphOf(model).initializer) tensor.externalData.forEach(change)
    await writeFile(path, encodeModel(model))
    return path
  }
  const location = (value: string) => (entry: { key: string; value: string }) => {
    if (entry.key === 'location') entry.value = value
  }

  it('must lie inside the folder, also behind links', async () => {
    await writeFile(join(folder, 'secret'), new Uint8Array(64_000))
    expect(await rejection(readModel(await withLocation(location('../secret'), 'e1')))).toBe('ONNX_EXTERNAL_OUTSIDE')
    expect(await rejection(readModel(await withLocation(location('/etc/passwd'), 'e2')))).toBe('ONNX_EXTERNAL_OUTSIDE')
    const linked = await withLocation(location('link'), 'e3')
    await symlink(join(folder, 'secret'), join(folder, 'e3', 'link'))
    expect(await rejection(readModel(linked))).toBe('ONNX_EXTERNAL_OUTSIDE')
  })

  it('must exist and hold the range that the model names', async () => {
    expect(await rejection(readModel(await withLocation(location('gone'), 'e4')))).toBe('ONNX_EXTERNAL')
    const far = await withLocation((entry) => {
      if (entry.key === 'offset') entry.value = '4096'
    }, 'e5')
    expect(await rejection(readModel(far))).toBe('ONNX_EXTERNAL')
    const short = await withLocation((entry) => {
      if (entry.key === 'length') entry.value = '16'
    }, 'e6')
    expect(await rejection(readModel(short))).toBe('ONNX_EXTERNAL')
  })
})

describe('checks', () => {
  const codeOf = (change: (model: ModelProto) => void): string => {
    const model = small()
    change(model)
    try {
      checkModel(model)
    } catch (error) {
      return (error as { code: string }).code
    }
    return 'fine'
  }
  it.each<[string, string, (model: ModelProto) => void]>([
    ['a sound model', 'fine', () => {}],
    [
      'a circle',
      'ONNX_CYCLE',
      (m) => {
        graphOf(m).node[0]!.input[0] = 'y'
      },
    ],
    [
      'a dangling name',
      'ONNX_DANGLING',
      (m) => {
        graphOf(m).node[1]!.input[0] = 'nobody'
      },
    ],
    [
      'a missing initializer',
      'ONNX_DANGLING',
      (m) => {
        graphOf(m).initializer.shift()
      },
    ],
    [
      'a name made twice',
      'ONNX_DUPLICATE',
      (m) => {
        graphOf(m).node[2]!.output[0] = 'y'
      },
    ],
    [
      'an output that nothing makes',
      'ONNX_DANGLING',
      (m) => {
        graphOf(m).output[0]!.name = 'q'
      },
    ],
    [
      'weights cut short',
      'ONNX_TENSOR',
      (m) => {
        graphOf(m).initializer[0]!.rawData = new Uint8Array(4)
      },
    ],
    [
      'an impossible shape',
      'ONNX_TENSOR',
      (m) => {
        graphOf(m).initializer[0]!.dims = [-1n]
      },
    ],
    [
      'no output',
      'ONNX_BROKEN',
      (m) => {
        graphOf(m).output = []
      },
    ],
  ])('%s: %s', (_, code, change) => {
    expect(codeOf(change)).toBe(code)
  })
})

describe('bodies of If and Loop', () => {
  /** An If whose branches add a stored weight to the outer x; the second branch as `change` makes it. */
  function branching(change: (body: GraphProto) => void = () => {}): ModelProto {
    const branch = (name: string): GraphProto => {
      const b = new GraphBuilder(name, `${name}/`)
      b.initializer(`${name}/w`, 'float32', [2000], new Float32Array(2000).fill(1))
      b.add('Add', ['x', `${name}/w`], {}, { outputs: [`${name}/sum`] })
      b.add('Relu', [`${name}/sum`], {}, { outputs: [`${name}/y`] })
      b.output(`${name}/y`, 'float32', ['N', 2000])
      return b.graph()
    }
    const [yes, no] = [branch('yes'), branch('no')]
    change(no)
    const b = new GraphBuilder('branching')
    b.input('x', 'float32', ['N', 2000])
    b.input('c', 'bool', [])
    b.add('If', ['c'], { then_branch: { graph: yes }, else_branch: { graph: no } }, { outputs: ['y'] })
    b.output('y', 'float32', ['N', 2000])
    return b.model()
  }

  it.each<[string, string, (body: GraphProto) => void]>([
    ['sound ones', 'fine', () => {}],
    [
      'a dangling name',
      'ONNX_DANGLING',
      (body) => {
        body.node[0]!.input[0] = 'nobody'
      },
    ],
    [
      'a circle',
      'ONNX_CYCLE',
      (body) => {
        body.node[0]!.input[0] = 'no/y'
      },
    ],
    [
      'a missing initializer',
      'ONNX_DANGLING',
      (body) => {
        body.initializer = []
      },
    ],
    [
      'weights cut short',
      'ONNX_TENSOR',
      (body) => {
        body.initializer[0]!.rawData = new Uint8Array(8)
      },
    ],
    [
      'an output that nothing makes',
      'ONNX_DANGLING',
      (body) => {
        body.output[0]!.name = 'q'
      },
    ],
  ])('%s: %s', (_, code, change) => {
    let found = 'fine'
    try {
      checkModel(branching(change))
    } catch (error) {
      found = (error as { code: string }).code
    }
    expect(found).toBe(code)
  })

  it('what they take from outside keeps its maker when the graph is cut', () => {
    const graph = graphOf(branching())
    expect(cutGraph(graph, [graph.output[0]!]).input.map(({ name }) => name)).toEqual(['x', 'c'])
  })

  const outside = (location: string) => (body: GraphProto) => {
    const [weight] = body.initializer
    weight!.rawData = new Uint8Array()
    weight!.dataLocation = TensorProto_DataLocation.EXTERNAL
    weight!.externalData = [{ key: 'location', value: location }].map((entry) =>
      create(StringStringEntryProtoSchema, entry),
    )
  }

  it('their external data must lie inside the folder, and counts to the model’s identity', async () => {
    const place = join(folder, 'branches')
    await mkdir(place)
    const path = join(place, 'm.onnx')
    await writeFile(path, encodeModel(branching(outside('../a.onnx'))))
    expect(await rejection(readModel(path))).toBe('ONNX_EXTERNAL_OUTSIDE')
    expect(await rejection(identityOf(path))).toBe('ONNX_EXTERNAL_OUTSIDE')
    await writeFile(path, encodeModel(branching(outside('w.bin'))))
    expect(await rejection(readModel(path))).toBe('ONNX_EXTERNAL')
    await writeFile(join(place, 'w.bin'), new Uint8Array(new Float32Array(2000).fill(2).buffer))
    const body = graphOf(await readModel(path)).node[0]!.attribute[1]!.g!
    expect(floatsOf(body.initializer[0]!)[1999]).toBe(2)
    const before = await identityOf(path)
    await writeFile(join(place, 'w.bin'), new Uint8Array(new Float32Array(2000).fill(3).buffer))
    expect(await identityOf(path)).not.toBe(before)
  })
})

describe('edits', () => {
  it('cut drops nodes and weights that the wanted output does not need', () => {
    const graph = graphOf(small())
    const cut = cutGraph(graph, [graph.output[0]!])
    expect(cut.node.map(({ opType }) => opType)).toEqual(['Gemm', 'Relu'])
    expect(cut.initializer.map(({ name }) => name)).toEqual(['w'])
    expect(cut.initializer[0]).toBe(graph.initializer[0])
  })

  it('join puts one model on another and renames what would meet', () => {
    const lower = small()
    const b = new GraphBuilder('upper')
    b.input('x', 'float32', ['N', 4])
    b.initializer('w', 'float32', [4, 2], new Float32Array(8))
    b.add('MatMul', ['x', 'w'], {}, { outputs: ['scores'] })
    b.output('scores', 'float32', ['N', 2])
    const joined = joinModels(lower, b.model(), new Map([['x', 'y']]), { prefix: 'head/' })
    checkModel(joined)
    expect(graphOf(joined).initializer.map(({ name }) => name)).toEqual(['w', 'unused_w', 'head/w'])
    expect(graphOf(joined).input.map(({ name }) => name)).toEqual(['x'])
    expect(inferShapes(joined).get('scores')?.shape).toEqual(['N', 2])
  })

  it('rename changes every mention', () => {
    const renamed = renameTensors(graphOf(small()), (name) => `p/${name}`)
    expect(renamed.node[0]!.input).toEqual(['p/x', 'p/w'])
    expect(renamed.output.map(({ name }) => name)).toEqual(['p/y', 'p/z'])
  })
})
