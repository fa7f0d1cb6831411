import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from '@swc/core'
import { node } from '../cli/run.js'

const house = fileURLToPath(new URL('../../', import.meta.url))

/** A folder in which `import 'fc7'` finds this package, as after `npm install fc7`. */
export async function installInto(folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules', '@types'), { recursive: true })
  await symlink(house, join(folder, 'node_modules', 'fc7'))
  await symlink(join(house, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
}

/** What a program of docs/api.md needs to be given: the network that it names. */
export const given = "const model: string = 'tiny.onnx'\nconst recipe: string = 'torchvision'\n"

/** Runs a TypeScript program in `folder`, which {@link installInto} made ready. @returns what it printed */
export async function runProgram(code: string, folder: string): Promise<string> {
  const { code: script } = transformSync(given + code, {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' },
  })
  const path = join(folder, 'program.mjs')
  await writeFile(path, script)
  const { code: exit, stdout, stderr } = await node([path], { cwd: folder, env: { FC7_CACHE: join(folder, 'cache') } })
  if (exit !== 0) throw new Error(`the program ended with ${exit}\n${stdout}\n${stderr}`)
  return stdout
}
