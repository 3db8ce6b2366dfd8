// YAML in, JSON out: all documents of the files named, as one list of lists. Strict: no key twice, no unknown tag.
import {readFileSync} from 'node:fs';
import {parseAllDocuments} from 'yaml';

const files = process.argv.slice(2).map(file => {
  return parseAllDocuments(readFileSync(file, 'utf8'), {strict: true, uniqueKeys: true}).map(document => {
    if (document.errors.length) throw new Error(`${file}: ${document.errors[0].message}`);
    return document.toJS();
  });
});
process.stdout.write(JSON.stringify(files));
