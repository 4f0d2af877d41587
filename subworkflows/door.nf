// What happens at the door, before any task: parameters and samplesheet are checked by `babyseg`, whose list of
// errors is printed as it is. Commands are argument lists, so no value from outside meets a shell.

include { existing ; fromJson ; json ; kept ; stageable } from './files'

def helpText() {
    return babyseg(['parameters', '--config', "${projectDir}/nextflow.config"])
}

/** The parameters of this run, each in the type of its default. */
def checkedOptions(given) {
    def values = given.collectEntries { name, value -> [name, plain(value)] }
    return fromJson(written(['parameters', '--config', "${projectDir}/nextflow.config", '--given', json(values)]))
}

/** Step → digest of the Python source that it runs; part of every task, so that -resume notices an edit. */
def fingerprints() {
    return fromJson(written(['fingerprints']))
}

/** The checked records, also as a file for the steps that work on the whole cohort, score table, verdicts and raters. */
def checkedSheet(options) {
    def command = ['check']
    command += options.bids ? ['--bids', options.bids] : []
    command += options.phenotype ? ['--phenotype', options.phenotype] : []
    command += options.scores ? ['--scores', options.scores] : []
    command += options.covariates ? ['--covariates', options.covariates] : []
    command += options.categories ? ['--categories', options.categories] : []
    command += options.one_scale ? ['--one-scale', options.one_scale] : []
    def verdicts = options.qc_verdicts ?: verdictsBeside(options.outdir)
    command += verdicts ? ['--verdicts', verdicts] : []
    command += options.raters ? ['--raters', options.raters] : []
    def text = written(command, options.input ? ['--', options.input] : [])
    def checked = fromJson(text)
    def phenotype = checked.phenotype?.file
    return [
        records: checked.records,
        file: kept(text, 'records.json'),
        phenotype: phenotype ? [stageable(phenotype)] : [],
        verdicts: checked.verdicts,
        raters: checked.raters,
    ]
}

/** The verdicts on the sessions that lie in the results of an earlier run, null where there are none. */
def verdictsBeside(outdir) {
    def place = file("${outdir}/qc_verdicts.tsv", glob: false)
    return place.exists() ? place.toString() : null
}

/** The files of a training: label maps, their table, weights to begin with, the recipe, and the folder of checkpoints. */
def trainingInputs(options) {
    if (!options.label_maps) {
        error('--workflow train needs --label_maps: a folder of label maps, see docs/training.md')
    }
    def shipped = file("${projectDir}/babyseg_py/training/recipes/${options.recipe}.yaml", glob: false)
    def run_dir = file(options.run_dir ?: "${options.outdir}/training/run", glob: false).toAbsolutePath().toString()
    if (run_dir.contains("'") || run_dir.contains('\n')) {
        error("--run_dir ${run_dir}: has a quotation mark or a line break in its path; choose another folder")
    }
    return [
        maps: existing(options.label_maps),
        table: options.label_table ? [existing(options.label_table)] : [],
        start: options.start ? [existing(options.start == 'default' ? "${projectDir}/weights/babyseg-default.safetensors" : options.start)] : [],
        recipe: shipped.exists() ? shipped : existing(options.recipe),
        run_dir: run_dir,
    ]
}

/** Run a step that writes a file with -o, and return the text that it wrote. */
def written(options, operands = []) {
    def answer = java.nio.file.Files.createTempFile('babyseg', '.json')
    answer.toFile().deleteOnExit()
    babyseg(options + ['-o', answer.toString()] + operands)
    return answer.getText('UTF-8')
}

/** Run `babyseg` with a list of arguments; its standard error becomes the error of the run. */
def babyseg(arguments) {
    def words = arguments.collect { argument -> argument.toString() }
    def command = ["${projectDir}/bin/${words.head()}".toString()] + words.tail()
    def out = new StringBuilder()
    def err = new StringBuilder()
    def running = command.execute()
    running.waitForProcessOutput(out, err)
    if (running.exitValue() != 0) {
        error(err.toString().trim() ?: "babyseg ${words.head()} ended with exit code ${running.exitValue()}")
    }
    if (err) {
        log.warn(err.toString().trim())
    }
    return out.toString()
}

def plain(value) {
    return value == null || value instanceof Boolean || value instanceof Number ? value : value.toString()
}
