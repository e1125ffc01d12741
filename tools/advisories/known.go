package main

// known are advisories that affect the program, each with why it is not mended yet.
var known = map[string]string{
	"GO-2026-6603": inGo1269,
	"GO-2026-6605": inGo1269,
	"GO-2026-6607": inGo1269,
	"GO-2026-6608": inGo1269,
	"GO-2026-6610": inGo1269,
	"GO-2026-6611": inGo1269,
	"GO-2026-6612": inGo1269,
	"GO-2026-6613": inGo1269,
	"GO-2026-6617": inGo1269,
	"GO-2026-6809": "it takes Go 1.26.10, and CI has 1.26.8",
}

const inGo1269 = "it takes Go 1.26.9, and CI has 1.26.8"
