// `npm ci && npm run build` writes dist/, which is committed and embedded by Go.
// Whoever builds the same sources gets the same bytes: versions are exact, and
// the compressor is plain JavaScript, whose output depends on no machine.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'fflate'
import { defineConfig } from 'vite'

const compressed = {
  name: 'compressed',
  apply: 'build',
  closeBundle() {
    for (const entry of readdirSync('dist', { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const file = join(entry.parentPath, entry.name)
      const bytes = gzipSync(readFileSync(file), { level: 9, mtime: 0 })
      bytes[9] = 255 // made by no system in particular
      writeFileSync(`${file}.gz`, bytes)
      rmSync(file)
    }
  },
}

export default defineConfig(({ command }) => ({
  base: command === 'build' ? './' : '/playground/', // the server may be below a path
  plugins: [compressed],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the page's policy allows no data: but pictures
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
    reportCompressedSize: false,
    license: { fileName: 'licenses.md' }, // of all that is in the files, as they ask
    rolldownOptions: {
      // "use client" means something to servers only.
      onLog: (level, log, next) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && next(level, log),
    },
  },
  server: {
    // npm run dev, beside a miniprofile on its usual address.
    proxy: Object.fromEntries(['/graphql', '/schema.graphql', '/avatars', '/playground/settings.json']
      .map((path) => [path, 'http://127.0.0.1:8080'])),
  },
}))
