# A workload, and a kubectl that keeps what it is told to apply.
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
	test "$1" = apply
	cat >applied.yaml
}
