#!/bin/sh
# Called by meson install: puts the manual pages and the completion of all verbs beside the program
# that is being installed. The program itself writes them.
set -eu
weir=$1 man=$MESON_INSTALL_DESTDIR_PREFIX/$2/man1 share=$MESON_INSTALL_DESTDIR_PREFIX/$3
mkdir -p "$man" "$share/bash-completion/completions" "$share/zsh/site-functions" \
    "$share/fish/vendor_completions.d"
"$weir" help --man weir >"$man/weir.1"
for verb in $("$weir" help --verbs); do
    "$weir" help --man "$verb" >"$man/weir-$verb.1"
done
"$weir" help --completion bash >"$share/bash-completion/completions/weir"
"$weir" help --completion zsh >"$share/zsh/site-functions/_weir"
"$weir" help --completion fish >"$share/fish/vendor_completions.d/weir.fish"
