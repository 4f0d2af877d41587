// The last lines of a run.

/** How many rows were ok, flagged and failed, and where the report is. */
def closingLines(success, outdir) {
    def top = file(outdir)
    if (!success) {
        return "\nThe run stopped before its end: the message above says why. What was done is kept; -resume goes on from there."
    }
    if (!file("${outdir}/ledger.tsv").exists()) {
        return "\nNothing was run."
    }
    def lines = file("${outdir}/ledger.tsv").readLines()
    def status = lines.head().split('\t').toList().indexOf('status')
    def counts = lines.tail().countBy { line -> line.split('\t', -1)[status] }
    def words = ['ok', 'flagged', 'failed'].collect { name -> "${counts[name] ?: 0} ${name}" }.join(', ')
    return """
Rows of the samplesheet: ${lines.size() - 1} (${words})
What became of each row: ${top}/ledger.tsv
Report: ${top}/report.html"""
}

/** Where the weights of a training are. */
def trainingLines(success, outdir) {
    def weights = "${file(outdir)}/training/weights.safetensors"
    if (!success) {
        def earlier = file(weights).exists() ? "\n${weights} is of an earlier run." : ''
        return "\nThe training stopped before its end: the message above says why. The same command goes on from its last checkpoint, if it has one.${earlier}"
    }
    if (!file(weights).exists()) {
        return "\nNothing was run."
    }
    return "\nWeights: ${weights} (babyseg segment --weights, or --weights of the pipeline)"
}
