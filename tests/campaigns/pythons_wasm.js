// Run pythons_replay.py in the CPython of a Pyodide package: node pythons_wasm.js PACKAGE REPOSITORY LIVES SEED
const [, , folder, repository, lives, seed] = process.argv;
const { loadPyodide } = require(folder);

async function main() {
  const python = await loadPyodide({ env: { PYTHONHASHSEED: seed, HOME: "/" } });
  for (const [inside, outside] of [["/repo", repository], ["/lives", lives]]) {
    python.FS.mkdirTree(inside);
    python.FS.mount(python.FS.filesystems.NODEFS, { root: outside }, inside);
  }
  const code = [
    "import runpy, sys",
    "sys.dont_write_bytecode = True",
    "sys.argv = ['replay', '/repo', '/lives/lives.pickle']",
    "try:",
    "    runpy.run_path('/repo/tests/campaigns/pythons_replay.py', run_name='__main__')",
    "except SystemExit as end:",
    "    assert not end.code, end.code",
  ];
  await python.runPythonAsync(code.join("\n"));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
