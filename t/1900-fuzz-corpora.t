#!/usr/bin/env bash
# Every input in t/fuzz/corpus goes through its parser: none may crash it.
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
count=0 failed=0

for source in t/fuzz/*.c; do
	name=$(basename "$source" .c)
	[ "$name" = replay ] && continue
	count=$((count + 1))
	if said=$(timeout 120 "$build/t/replay/$name" "t/fuzz/corpus/$name" 2>&1)
	then
		echo "ok $count - $name: ${said##*$'\n'}"
	else
		failed=1
		echo "not ok $count - $name"
		echo "$said" | tail -n 60 | sed 's/^/# /'
	fi
done
echo "1..$count"
exit $failed
