# From the output of `cargo test -- --show-output`: what each test binary ran, and what its tests say they counted.

/^ +(Running|Doc-tests) / {
    binary = $1 == "Running" ? $2 == "unittests" ? $4 : $3 : "doc-tests " $2
    gsub(/^\(|\)$/, "", binary)
    sub(/.*\/deps\//, "", binary)
    sub(/-[0-9a-f]+$/, "", binary)
}
/^successes:$/ { shown = 1 }
/^failures:$/ { shown = 0 }
shown && /^---- .* stdout ----$/ { test = $2; said = 0; next }
shown && /^$/ { test = "" }
shown && test != "" && (/[0-9]/ || /^skipped/) {
    # A test that counts many things says the first few here, all of them above.
    if (++said > 8) next
    line = substr($0, 1, 160)
    sub(/^suite: /, "", line)
    lines[++count] = "  " test ": " line
}
/^test result:/ {
    ran = $4 + $6
    if (ran > 0) print binary ": " ran " tests"
    for (n = 1; n <= count; n++) print lines[n]
    count = 0
    shown = 0
    test = ""
}
