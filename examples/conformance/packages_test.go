package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs below know the packages alone: no file of this repository.
const (
	pythonProgram = `
import sys
import grpc
from chatidentity.v1 import chat_identity_service_pb2 as v1
from chatidentity.v1.chat_identity_service_pb2_grpc import ChatIdentityServiceStub

with grpc.insecure_channel(sys.argv[1]) as channel:
    request = v1.IssueTokenRequest(customer=v1.Customer(external_id="user-of-a-package"))
    reply = ChatIdentityServiceStub(channel).IssueToken(request, timeout=5)
    assert reply.login_identifier == v1.IDENTIFIER_EXTERNAL_ID
    print(reply.token, end="")
`
	typescriptProgram = `
import { credentials } from "@grpc/grpc-js";
import { ChatIdentityServiceClient, Identifier, IssueTokenRequest, type IssueTokenResponse } from "chatidentity";

const client = new ChatIdentityServiceClient(process.argv[2]!, credentials.createInsecure());
client.issueToken(IssueTokenRequest.fromPartial({ customer: { externalId: "user-of-a-package" } }), (error, reply: IssueTokenResponse) => {
  if (error) throw error;
  if (reply.loginIdentifier !== Identifier.IDENTIFIER_EXTERNAL_ID) throw new Error("another identifier");
  process.stdout.write(reply.token);
  client.close();
});
`
	tsconfig = `{"compilerOptions": {"module": "nodenext", "target": "es2022", "strict": true, "types": ["node"]}, "files": ["main.ts"]}`
)

// TestPackagesInstallAndCall installs the generated code as their users do, in an environment of
// its own outside the checkout, and calls the sidecar.
//
//nolint:paralleltest,tparallel // the backends' builds take both cores
func TestPackagesInstallAndCall(t *testing.T) {
	s := &sidecar{binary: buildSidecar(t), socket: filepath.Join(socketDirectory(t), "sidecar.sock"), audit: "-"}
	s.start(t)
	generated, err := filepath.Abs(filepath.Join(root, "gen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ language, file, program, install, run string }{
		{
			"python", "main.py", pythonProgram,
			"python3 -m venv installed && installed/bin/pip install --quiet --disable-pip-version-check %s/python",
			"installed/bin/python main.py %s",
		},
		{ // by the command of docs/clients.md, beside a program that README.md may have left there
			"python, generated", "main.py", pythonProgram,
			"touch chatidentity && ln -s %[1]s/../proto && python3 -m venv installed && . installed/bin/activate && pip install " +
				"--quiet --disable-pip-version-check --requirement %[1]s/../examples/generate/requirements.txt && " + protocOf(t),
			"PYTHONPATH=client installed/bin/python main.py %s",
		},
		{
			"typescript", "main.ts", typescriptProgram,
			"npm init --yes --init-type=module >/dev/null && npm pkg set type=module && " +
				"npm install --silent --no-audit --no-fund ./$(npm pack --silent %s/typescript) typescript@7.0.2 @types/node@20.19.43 @grpc/grpc-js@1.14.7",
			"npx --no-install tsc && node main.js %s",
		},
	} {
		t.Run(test.language, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for name, text := range map[string]string{test.file: test.program, "tsconfig.json": tsconfig} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			shell := func(line, argument string) string {
				command := exec.CommandContext(t.Context(), "bash", "-c", fmt.Sprintf(line, argument))
				command.Dir = folder
				out, err := command.Output()
				if err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
				return string(out)
			}
			shell(test.install, generated)
			token := shell(test.run, s.loopback)
			verdict, err := exec.CommandContext(t.Context(), s.binary, "verify", "--output", "json", "--address", s.loopback, token).Output()
			if err != nil {
				t.Errorf("the token of the %s package is not accepted: %v\n%s", test.language, err, verdict)
			}
		})
	}
}

// protocOf is the command of docs/clients.md that generates Python.
func protocOf(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs/clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range shellBlock.FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(block[1], "grpc_tools.protoc") {
			return block[1]
		}
	}
	t.Fatal("docs/clients.md does not say how to generate Python")
	return ""
}
