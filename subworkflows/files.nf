// Files between the door and the tasks. Included by others, includes nothing itself.

/** A file in the work folder with this text: the same file in every run that has the same text. */
def kept(text, name) {
    def place = workDir.resolve("kept/${text.md5()}/${name}")
    if (!place.exists()) {
        place.parent.mkdirs()
        def part = place.resolveSibling("${name}.part")
        part.text = text
        part.moveTo(place)
    }
    return place
}

/**
 * The file at a path or URI. Where a local path has characters that a shell could read as code or as a pattern,
 * it is reached by a link with a plain name.
 */
def stageable(path) {
    if (path ==~ /[\p{L}\p{M}\p{N} _.,:;=+@%~()'\/-]*/) {
        return file(path, glob: false)
    }
    def target = java.nio.file.Path.of(path)
    def link = workDir.resolve("kept/${path.md5()}/link${extension(path)}")
    if (!java.nio.file.Files.isSymbolicLink(link)) {
        link.parent.mkdirs()
        java.nio.file.Files.createSymbolicLink(link, target)
    }
    return link
}

/** The extension by which an image or a table is read: .nii.gz, .nii, .mgz, .tsv, … */
def extension(path) {
    def name = path.toString().toLowerCase()
    return ['.nii.gz', '.nii', '.mgh.gz', '.mgz', '.mgh', '.tsv', '.csv'].find { known -> name.endsWith(known) } ?: ''
}

/** A map or list as JSON text, the same for the same content. */
def json(content) {
    return groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(content))
}

def fromJson(text) {
    return new groovy.json.JsonSlurperClassic().parseText(text)
}

/** All items of a channel as one list in the order of their names; an empty list where there are none. */
def sorted(items) {
    return items.toSortedList { a, b -> a.name <=> b.name }
}

/**
 * [unit, failure.json] for every scan or visit that a step was given and that it neither served nor refused: tasks
 * that were killed or crashed on every try leave nothing behind, and the ledger must hear of them too.
 */
def unfinished(step, given, finished) {
    return given
        .map { unit -> [unit.id, unit] }
        .join(finished.map { items -> [items[0].id, true] }, remainder: true)
        .filter { _id, _unit, done -> !done }
        .map { _id, unit, _done ->
            def words = [
                step: step,
                file: unit.id,
                what: 'the task was killed or crashed on every try, so there is no output',
                advice: 'see its exit status in pipeline_info/execution_trace.txt and its messages in .nextflow.log; give it more memory or time if it was killed',
            ]
            [unit, kept(json(words), "${unit.id}.${step}.failure.json")]
        }
}
