// Package docs holds the pages of this repository to what they say. Every code block is run by a
// test, or says why not; links lead somewhere; prose keeps to 100 columns.
//
//   - sh is run: all blocks of a page in one shell, at the top of a fresh copy of the checkout, with
//     chatidentity and grpcurl on the PATH and a loopback of its own. A block that fails is a
//     problem of the page.
//   - text after such a block is what it prints. An … stands for anything; times, tokens, ports and
//     IDs may differ.
//   - json and yaml must be well-formed.
//
// It needs Linux, and namespaces: root, or a kernel that gives them to users.
//
// Comments directly before a block say what is different:
//
//	<!-- run by: TestName, make target or a script; several with commas. CI or make proof calls it -->
//	<!-- not run: a reason -->
//	<!-- setup: commands to run first, such as making a file that the reader has -->
//	<!-- background: a command that succeeds once the block is up. The page's next such block ends it -->
//	<!-- exit: 1 -->
//	<!-- then: commands that must succeed afterwards -->
package docs
