// Package web holds the files of the example that `chatidentity dev --web` serves too.
package web

import "embed"

// Files are what a page pastes, public/chat.js, and the stub of the vendor's script, widget.js.
//
//go:embed public/chat.js widget.js
var Files embed.FS
