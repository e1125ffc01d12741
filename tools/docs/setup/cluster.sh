# A workload, and a kubectl that keeps what it is told to apply, and whose pod is this machine.
cat >deployment.yaml <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - {name: app, image: registry.example.com/shop:1.0.0}
END

kubectl() {
	case "$1 ${*:3:3}" in
	apply*) cat >applied.yaml ;;
	"exec -c chatidentity --") "${@:6}" ;;
	"logs -c chatidentity") cat serve.log ;;
	*) return 1 ;;
	esac
}
