/** Maps with up to `ahead` calls under way at once; results come in order. */
export async function* mapOrdered<A, B>(
  source: AsyncIterable<A>,
  ahead: number,
  map: (value: A) => Promise<B>,
): AsyncGenerator<B> {
  const waiting: Promise<B>[] = []
  try {
    for await (const value of source) {
      waiting.push(map(value))
      if (waiting.length >= ahead) yield await waiting.shift()!
    }
    while (waiting.length > 0) yield await waiting.shift()!
  } finally {
    // Left early: nobody will look at what is still under way.
    for (const promise of waiting) promise.catch(() => {})
  }
}
