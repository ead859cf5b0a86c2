#!/bin/sh
# Makes three.min.js anew: the parts of three.js that entry.js names, as one script that defines
# THREE. Needs node and npm. Run it to change the version or what is used; nothing else does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y > /dev/null
npm install --no-audit --no-fund --ignore-scripts three@0.180.0 esbuild@0.28.2
cp "$here/entry.js" .
npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --legal-comments=none \
  --banner:js='/* three.js 0.180.0, MIT licence: see three/LICENSE */' --outfile="$here/three.min.js"
cp node_modules/three/LICENSE "$here/LICENSE"
